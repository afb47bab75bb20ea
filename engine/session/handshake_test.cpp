#include <fstream>
#include <gtest/gtest.h>
#include <gyre/rpc/connection.hpp>
#include <gyre/session/handshake.hpp>
#include <map>
#include <sstream>

namespace gyre::session {
namespace {

/// protocol/golden/session.hex by name; tests run in the source folder.
std::map<std::string, Bytes> golden() {
    std::ifstream file("protocol/golden/session.hex");
    std::map<std::string, Bytes> messages;
    for (std::string line; std::getline(file, line);) {
        std::istringstream parts(line);
        std::string direction, name, hex;
        parts >> direction >> name >> hex;
        if (direction == "#") continue;
        Bytes& bytes = messages[name];
        for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
            bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    return messages;
}

Hello golden_hello() {
    return {7, "t.o.k"};
}

TEST(Handshake, speaks_the_golden_bytes) {
    auto bytes = golden();
    ASSERT_FALSE(bytes.empty());
    EXPECT_EQ(write_hello(golden_hello()), bytes["hello"]);
    const Hello hello = read_hello(bytes["hello"]).value();
    EXPECT_EQ(hello.client_version, 7);
    EXPECT_EQ(hello.credential, "t.o.k");
    EXPECT_EQ(write_greeting(7), bytes["greeting"]);

    const Welcome welcome = read_welcome(bytes["welcome"]).value();
    EXPECT_EQ(welcome.session, 0x1122334455667788u);
    EXPECT_EQ(welcome.entity, make_entity_id(3, 12345));
    EXPECT_EQ(welcome.server_name, "gate_1");
    EXPECT_EQ(welcome.heartbeat, 2s);
    EXPECT_EQ(write_welcome(welcome), bytes["welcome"]);

    const auto refusal = read_welcome(bytes["refusal"]);
    EXPECT_EQ(refusal.error().code(), errc::update_required);
    EXPECT_EQ(refusal.error().message(), "a newer version of the game is needed");
    EXPECT_EQ(rpc::bye_message(refusal.error()), bytes["refusal"]);
}

TEST(Handshake, refuses_whatever_was_cut_or_flipped) {
    auto bytes = golden();
    ASSERT_GT(bytes["welcome"].size(), 20);
    for (const auto* name : {"hello", "welcome"})
        for (std::size_t size = 0; size < bytes[name].size(); ++size) {
            const BytesView cut = BytesView(bytes[name]).first(size);
            EXPECT_FALSE(read_hello(cut)) << name << size;
            EXPECT_FALSE(read_welcome(cut)) << name << size;
        }
    for (std::size_t at = 0; at < bytes["hello"].size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            Bytes flipped = bytes["hello"];
            flipped[at] ^= static_cast<std::uint8_t>(1 << bit);
            if (const auto hello = read_hello(flipped)) EXPECT_EQ(write_hello(*hello).size(), flipped.size());
        }
}

TEST(Handshake, a_server_cannot_make_a_client_beat_madly) {
    EXPECT_EQ(read_welcome(write_welcome({1, 2, "gate", 0ms}))->heartbeat, 10ms);
    EXPECT_EQ(read_welcome(write_welcome({1, 2, "gate", 24h}))->heartbeat, 60s);
}

}  // namespace
}  // namespace gyre::session
