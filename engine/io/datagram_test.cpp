#include <gtest/gtest.h>

#include <gyre/io/datagram.hpp>
#include <gyre/io/loop.hpp>
#include <map>

namespace gyre::io {
namespace {

struct Sink : DatagramHandler {
    void on_datagram(const SocketAddress& from, std::span<std::uint8_t> bytes) override {
        last_from = from;
        got.emplace_back(bytes.begin(), bytes.end());
        if (then) then(from, bytes);
    }
    void on_batch_end() override { ++batches; }
    std::vector<Bytes> got;
    std::size_t batches = 0;
    SocketAddress last_from;
    std::function<void(const SocketAddress&, std::span<std::uint8_t>)> then;
};

SocketAddress address_of(const DatagramSocket& socket) {
    return *SocketAddress::of(socket.local());
}
Bytes text(std::string_view from) { return Bytes(from.begin(), from.end()); }

TEST(SocketAddressTest, is_an_endpoint_in_numbers) {
    const auto address = SocketAddress::of({"10.0.0.7", 10'001});
    ASSERT_TRUE(address.ok());
    EXPECT_EQ((*address).ip, 0x0a000007u);
    EXPECT_EQ((*address).endpoint().to_string(), "10.0.0.7:10001");
    EXPECT_EQ((*address).as_integer(), 0x0a000007'2711u);
    EXPECT_EQ((*SocketAddress::of({"localhost", 1})).ip, 0x7f000001u);
    EXPECT_EQ(SocketAddress::of({"example.org", 1}).error().code(), errc::bad_arguments);
}

TEST(DatagramTest, goes_there_and_back_with_its_sender_s_address) {
    Loop loop;
    auto server = std::move(*loop.bind({})), client = std::move(*loop.bind({}));
    Sink echo, heard;
    echo.then = [&](const SocketAddress& from, std::span<std::uint8_t> bytes) {
        bytes[0] = 'H';
        server->send(from, bytes);
    };
    server->start(echo);
    client->start(heard);
    client->send(address_of(*server), as_bytes("hello"));
    client->send(address_of(*server), as_bytes("h"));
    ASSERT_TRUE(loop.run_until([&] { return heard.got.size() == 2; }));
    EXPECT_EQ(heard.got[0], text("Hello"));
    EXPECT_EQ(heard.got[1], text("H"));
    EXPECT_EQ(heard.last_from, address_of(*server));
    EXPECT_EQ(echo.last_from, address_of(*client));
    EXPECT_EQ(server->counters().received, 2u);
    EXPECT_EQ(server->counters().sent_bytes, 6u);
    EXPECT_GE(heard.batches, 1u);
    EXPECT_LE(heard.batches, 2u);
}

TEST(DatagramTest, an_address_in_use_is_named) {
    Loop loop;
    auto first = std::move(*loop.bind({}));
    const auto second = loop.bind(first->local());
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), errc::in_use);
    EXPECT_NE(second.error().message().find(first->local().to_string()), std::string::npos);
    EXPECT_EQ(loop.bind({"203.0.113.9", 0}).error().code(), errc::bad_arguments);
}

}  // namespace
}  // namespace gyre::io
