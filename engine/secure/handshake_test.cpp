#include <gtest/gtest.h>
#include <gyre/secure/detail/noise.hpp>
#include <gyre/secure/handshake.hpp>

#include <random>

namespace gyre::secure {
namespace {

Seed seed_of(std::uint8_t value) {
    Seed seed;
    seed.fill(value);
    return seed;
}
const Identity server_identity{Key(seed_of(0x11))};
const Key cluster{seed_of(0x22)};

enum class Kind { pinned, shared };
ClientHandshake client_of(Kind kind, std::uint8_t fresh = 1) {
    return kind == Kind::pinned ? ClientHandshake(server_identity.public_key(), seed_of(fresh))
                                : ClientHandshake(cluster, seed_of(fresh));
}
ServerHandshake server_of(Kind kind, std::uint8_t fresh = 2) {
    return kind == Kind::pinned ? ServerHandshake(server_identity, seed_of(fresh))
                                : ServerHandshake(cluster, seed_of(fresh));
}

class HandshakeTest : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Both, HandshakeTest, testing::Values(Kind::pinned, Kind::shared),
                         [](const auto& info) { return info.param == Kind::pinned ? "NK" : "NNpsk0"; });

TEST_P(HandshakeTest, both_ends_come_to_the_same_keys_and_hear_each_other) {
    auto client = client_of(GetParam());
    auto server = server_of(GetParam());
    const Bytes first = client.first(as_bytes("build 7"));
    EXPECT_EQ(as_text(first).find("build"), std::string_view::npos);
    EXPECT_EQ(as_text(server.first(first).value()), "build 7");
    EXPECT_EQ(as_text(client.second(server.second(as_bytes("welcome"))).value()), "welcome");
    const Secrets mine = client.secrets(), theirs = server.secrets();
    EXPECT_TRUE(mine.send == theirs.receive);
    EXPECT_TRUE(mine.receive == theirs.send);
    EXPECT_FALSE(mine.send == mine.receive);
    EXPECT_EQ(mine.transcript, theirs.transcript);
}

TEST_P(HandshakeTest, every_connection_has_keys_of_its_own) {
    const auto keys = [](std::uint8_t a, std::uint8_t b) {
        auto client = client_of(GetParam(), a);
        auto server = server_of(GetParam(), b);
        EXPECT_TRUE(server.first(client.first({})));
        EXPECT_TRUE(client.second(server.second({})));
        return client.secrets();
    };
    const Secrets one = keys(1, 2), other_client = keys(3, 2), other_server = keys(1, 4);
    EXPECT_FALSE(one.send == other_client.send);
    EXPECT_FALSE(one.send == other_server.send);
    EXPECT_FALSE(one.receive == other_server.receive);
    EXPECT_NE(one.transcript, other_server.transcript);
}

TEST_P(HandshakeTest, any_flipped_bit_of_either_message_is_found) {
    auto client = client_of(GetParam());
    const Bytes first = client.first(as_bytes("hello"));
    auto server = server_of(GetParam());
    ASSERT_TRUE(server.first(first));
    const Bytes second = server.second(as_bytes("answer"));
    for (std::size_t bit = 0; bit < first.size() * 8; ++bit) {
        Bytes changed = first;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        auto other = server_of(GetParam());
        const auto heard = other.first(changed);
        ASSERT_FALSE(heard) << "bit " << bit;
        EXPECT_TRUE(heard.error().is(errc::unauthorized) || heard.error().is(errc::bad_data) ||
                    heard.error().is(errc::update_required)) << heard.error().what();
    }
    for (std::size_t bit = 0; bit < second.size() * 8; ++bit) {
        Bytes changed = second;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        EXPECT_FALSE(client.second(changed)) << "bit " << bit;
    }
    for (std::size_t size = 0; size < first.size(); ++size)
        EXPECT_FALSE(server_of(GetParam()).first(BytesView(first).first(size)));
    for (std::size_t size = 0; size < second.size(); ++size)
        EXPECT_FALSE(client.second(BytesView(second).first(size)));
    EXPECT_EQ(as_text(client.second(second).value()), "answer") << "forged answers change nothing";
}

TEST_P(HandshakeTest, a_refusal_is_authentic_after_message_1) {
    auto client = client_of(GetParam());
    auto server = server_of(GetParam());
    ASSERT_TRUE(server.first(client.first({})));
    const Bytes refusal = server.refuse(Error("maintenance", "back at noon"));
    Bytes changed = refusal;
    changed.back() ^= 1;
    EXPECT_EQ(client.second(changed).error().code(), errc::unauthorized);
    const auto said = client.second(refusal);
    ASSERT_FALSE(said);
    EXPECT_EQ(said.error().code(), "maintenance");
    EXPECT_EQ(said.error().message(), "back at noon");
}

TEST_P(HandshakeTest, another_version_is_told_in_the_clear_and_never_spoken) {
    auto client = client_of(GetParam());
    Bytes first = client.first({});
    first[4] = 1;
    auto server = server_of(GetParam());
    const auto heard = server.first(first);
    ASSERT_EQ(heard.error().code(), errc::update_required);
    EXPECT_EQ(client.second(server.refuse(heard.error())).error().code(), errc::update_required);
}

TEST_P(HandshakeTest, strangers_are_told_nothing) {
    auto server = server_of(GetParam());
    const auto heard = server.first(Bytes(100, 0xab));
    ASSERT_FALSE(heard);
    EXPECT_TRUE(server.refuse(heard.error()).empty());
}

TEST(Handshake, who_holds_another_key_is_found_out_by_both_ends) {
    const Identity other{Key(seed_of(0x33))};
    ClientHandshake client(other.public_key(), seed_of(1));
    ServerHandshake server(server_identity, seed_of(2));
    EXPECT_EQ(server.first(client.first({})).error().code(), errc::unauthorized);
    ServerHandshake node(cluster, seed_of(2));
    EXPECT_EQ(node.first(ClientHandshake(Key(seed_of(9)), seed_of(1)).first({})).error().code(), errc::unauthorized);
    EXPECT_EQ(node.refuse(Error(errc::unauthorized)).size(), 0u);

    // A server that answers without the secret cannot make the client believe it.
    ClientHandshake honest(server_identity.public_key(), seed_of(1));
    const Bytes first = honest.first({});
    Bytes forged(first.begin(), first.end());
    forged[6] = 2;
    EXPECT_EQ(honest.second(forged).error().code(), errc::unauthorized);
    EXPECT_EQ(honest.second(clear_refusal(Error("unauthorized", "trust me"))).error().code(), errc::bad_data)
        << "only what harms nobody is believed in the clear";
}

TEST(Handshake, a_nodes_and_a_clients_are_told_apart) {
    ServerHandshake gate(server_identity, seed_of(2));
    EXPECT_EQ(gate.first(client_of(Kind::shared).first({})).error().code(), errc::unauthorized);
    ServerHandshake node(cluster, seed_of(2));
    EXPECT_EQ(node.first(client_of(Kind::pinned).first({})).error().code(), errc::unauthorized);
}

// Points of small order make every shared secret zero: whoever sends one knows it.
TEST(Handshake, points_of_small_order_are_refused) {
    const std::uint8_t tails[][2] = {{0, 0}, {1, 0}, {0xec, 0x7f}, {0xed, 0x7f}, {0xee, 0x7f}};
    for (const auto& [low, high] : tails) {
        PublicKey point{};
        point[0] = low;
        if (high) {
            std::fill(point.begin() + 1, point.end() - 1, 0xff);
            point[31] = high;
        }
        auto client = client_of(Kind::pinned);
        Bytes first = client.first({});
        std::copy(point.begin(), point.end(), first.begin() + 8);
        EXPECT_EQ(server_of(Kind::pinned).first(first).error().code(), errc::unauthorized) << int{low};
        auto server = server_of(Kind::pinned);
        ASSERT_TRUE(server.first(client_of(Kind::pinned).first({})));
        Bytes second = server.second({});
        std::copy(point.begin(), point.end(), second.begin() + 8);
        EXPECT_EQ(client.second(second).error().code(), errc::unauthorized) << int{low};
        ClientHandshake pinned(point, seed_of(1));
        EXPECT_FALSE(server_of(Kind::pinned).first(pinned.first({})));
    }
}

// Who holds the cluster's key is still somebody else: its point counts as bytes from outside.
TEST(Handshake, a_node_whose_point_is_of_small_order_is_refused_before_an_answer) {
    const Bytes head{'g', 'y', 'r', 'e', 2, 2, 1, 0}, point(32);
    detail::NoiseState noise("Noise_NNpsk0_25519_AESGCM_SHA256", head);
    noise.mix_key_and_hash(cluster.bytes());
    noise.mix_hash(point);
    noise.mix_key(point);
    Bytes first = head;
    append(first, point);
    noise.encrypt_and_hash(as_bytes("hello"), first);
    auto server = server_of(Kind::shared);
    const auto heard = server.first(first);
    ASSERT_FALSE(heard);
    EXPECT_EQ(heard.error().code(), errc::unauthorized);
    EXPECT_TRUE(server.refuse(heard.error()).empty());
}

TEST(Handshake, what_a_refusal_says_does_not_steer_a_terminal) {
    auto client = client_of(Kind::pinned);
    (void)client.first({});
    const auto said = client.second(clear_refusal(Error(errc::overloaded, "full\x1b[2J\n\x7f")));
    EXPECT_EQ(said.error().message(), "full [2J  ");
}

TEST(Handshake, keys_are_written_as_43_characters) {
    const std::string text = to_text(server_identity.public_key());
    EXPECT_EQ(text.size(), 43u);
    EXPECT_EQ(public_key_from_text(text).value(), server_identity.public_key());
    for (const char* wrong : {"", "AAAA", "!!!!"}) {
        const auto refused = public_key_from_text(wrong);
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().message().find("43 characters"), std::string::npos);
    }
    EXPECT_FALSE(public_key_from_text(text + "A"));
}

TEST(Handshake, a_hundred_thousand_changed_messages_open_nothing) {
    std::mt19937_64 random(7);
    auto client = client_of(Kind::pinned);
    const Bytes first = client.first(as_bytes("hello"));
    auto server = server_of(Kind::pinned);
    ASSERT_TRUE(server.first(first));
    const Bytes second = server.second({});
    // Most fail before the arithmetic; what reaches it costs 30 us or more.
    for (int i = 0; i < 100'000; ++i) {
        Bytes changed = i % 2 ? second : first;
        const std::size_t keep = i % 50 == 0 ? 8 + 32 : 8;  // mostly the head is wrong, too
        for (std::uint64_t flips = 1 + random() % 4; flips > 0; --flips)
            changed[keep == 8 ? random() % 8 : keep + random() % (changed.size() - keep)] ^= static_cast<std::uint8_t>(1 + random() % 255);
        if (random() % 8 == 0) changed.resize(random() % changed.size());
        if (changed == (i % 2 ? second : first)) continue;
        if (i % 2) EXPECT_FALSE(client.second(changed));
        else EXPECT_FALSE(server_of(Kind::pinned).first(changed));
    }
    EXPECT_TRUE(client.second(second));
}

}  // namespace
}  // namespace gyre::secure
