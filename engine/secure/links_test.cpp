#include <gtest/gtest.h>
#include <gyre/secure/cookie.hpp>
#include <gyre/secure/handshake.hpp>
#include <gyre/secure/packets.hpp>
#include <gyre/secure/records.hpp>

#include <algorithm>
#include <cstring>
#include <random>

namespace gyre::secure {
namespace {

Seed seed_of(std::uint8_t value) {
    Seed seed;
    seed.fill(value);
    return seed;
}
const Key key{seed_of(5)};

Bytes record_of(RecordSealer& sealer, std::string_view text, RecordKind kind = RecordKind::data) {
    Bytes record(record_head_bytes);
    append(record, as_bytes(text));
    sealer.seal_in_place(kind, record);
    return record;
}
std::string opened(RecordOpener& opener, Bytes record) {
    const auto size = opener.size(BytesView(record).first(record_head_bytes));
    if (!size) return size.error().code();
    const auto plain = opener.open({record.data(), *size});
    return plain ? "=" + std::string(as_text(plain->plain)) : plain.error().code();
}

TEST(Records, open_in_their_order_only) {
    RecordSealer sealer(key);
    const Bytes one = record_of(sealer, "one"), two = record_of(sealer, "two"), three = record_of(sealer, "");
    RecordOpener opener(key);
    EXPECT_EQ(opened(opener, one), "=one");
    EXPECT_EQ(opened(opener, two), "=two");
    EXPECT_EQ(opened(opener, three), "=");
    for (const auto& order : {std::pair{two, one}, std::pair{one, one}}) {
        RecordOpener other(key);
        (void)opened(other, order.first);
        EXPECT_EQ(opened(other, order.second), errc::unauthorized);
        EXPECT_EQ(opened(other, one), errc::unauthorized) << "broken for good";
    }
}

TEST(Records, any_flipped_bit_is_found) {
    RecordSealer sealer(key);
    const Bytes record = record_of(sealer, "a record");
    for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
        Bytes changed = record;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        RecordOpener opener(key);
        const auto size = opener.size(BytesView(changed).first(record_head_bytes));
        if (size && *size > changed.size()) continue;  // waits for more, which will not open
        EXPECT_NE(opened(opener, changed).front(), '=') << bit;
    }
}

TEST(Records, a_head_out_of_range_is_refused_before_anything_is_kept) {
    RecordOpener opener(key);
    EXPECT_EQ(opener.size(Bytes{15, 0, 0, 0}).error().code(), errc::bad_data);
    EXPECT_EQ(opener.size(Bytes{0x10, 0x40, 0, 0}).value(), 4u + 16 + 16 * 1024);
    EXPECT_EQ(opener.size(Bytes{0x11, 0x40, 0, 0}).error().code(), errc::too_large);
    EXPECT_EQ(opener.size(Bytes{16, 0, 0, 2}).error().code(), errc::bad_data);
}

TEST(Records, the_key_follows_itself_without_a_word) {
    RecordSealer sealer(key);
    RecordOpener opener(key);
    Bytes first, last;
    for (std::uint64_t i = 0; i < 2 * records_per_key + 10; ++i) {
        Bytes record = record_of(sealer, "x");
        if (i == 0) first = record;
        if (i == records_per_key) last = record;
        ASSERT_EQ(opened(opener, record), "=x") << i;
    }
    EXPECT_NE(first, last) << "the same number under another key";
}

struct Link {
    PacketSealer sealer{key};
    PacketOpener opener{key};
    Bytes seal(BytesView plain, unsigned number_bytes = 2) {
        Bytes packet(PacketSealer::size(3, number_bytes, plain.size()));
        packet[0] = 'h', packet[1] = 'e', packet[2] = static_cast<std::uint8_t>(number_bytes);
        sealer.seal(packet, 3, number_bytes, plain);
        return packet;
    }
    Result<Packet> open(Bytes& packet, unsigned number_bytes = 2) { return opener.open(packet, 3, number_bytes); }
    /// Bytes that do not open leave an opener as it was, so one may be tried again and again.
    bool opens(Bytes packet, unsigned number_bytes = 2) { return static_cast<bool>(open(packet, number_bytes)); }
};

TEST(Packets, open_in_any_order_and_once) {
    Link link;
    std::vector<Bytes> packets;
    for (int i = 0; i < 500; ++i) packets.push_back(link.seal(Bytes(static_cast<std::size_t>(i), 7)));
    std::mt19937_64 random(1);
    std::vector<std::size_t> order(packets.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::uint64_t newest = 0;
    bool any = false;
    for (const std::size_t i : order) {
        Bytes copy = packets[i];
        const auto packet = link.open(copy);
        ASSERT_TRUE(packet);
        EXPECT_EQ(packet->number, i);
        EXPECT_EQ(packet->plain.size(), i);
        EXPECT_EQ(packet->newest, !any || i > newest);
        newest = std::max<std::uint64_t>(newest, i), any = true;
    }
    for (const Bytes& packet : packets) EXPECT_FALSE(link.opens(packet)) << "again";
}

TEST(Packets, what_is_older_than_the_window_does_not_open) {
    Link link;
    std::vector<Bytes> packets;
    for (std::uint64_t i = 0; i < replay_window + 10; ++i) packets.push_back(link.seal({}));
    EXPECT_TRUE(link.opens(packets.back()));
    EXPECT_FALSE(link.opens(packets[0]));
    EXPECT_FALSE(link.opens(packets[9]));
    EXPECT_TRUE(link.opens(packets[10]));
    EXPECT_FALSE(link.opens(packets[10]));
}

TEST(Packets, numbers_are_found_again_behind_gaps_and_wraps) {
    for (unsigned number_bytes = 1; number_bytes <= 3; ++number_bytes) {
        Link link;
        const std::uint64_t far = (std::uint64_t{1} << (8 * number_bytes)) / 2 - 1;
        std::uint64_t sent = 0;
        for (int hop = 0; hop < 20 && sent < 3 * packets_per_key; ++hop) {
            const std::uint64_t gap = std::min<std::uint64_t>(far, 100'000);
            for (std::uint64_t i = 0; i + 1 < gap; ++i, ++sent) (void)link.seal({}, 1);
            Bytes packet = link.seal(as_bytes("here"), number_bytes);
            const auto heard = link.open(packet, number_bytes);
            ASSERT_TRUE(heard) << number_bytes << " bytes, number " << sent;
            EXPECT_EQ(heard->number, sent++);
        }
    }
}

TEST(Packets, keys_change_with_the_epoch_and_late_packets_of_the_last_still_open) {
    Link link;
    const auto skip_to = [&](std::uint64_t number) {
        while (link.sealer.next_number() < number) {
            Bytes packet = link.seal({}, 4);
            if (link.sealer.next_number() % 1000 == 0) ASSERT_TRUE(link.open(packet, 4));
        }
    };
    skip_to(packets_per_key - 2);
    Bytes late = link.seal(as_bytes("late"), 4), last = link.seal(as_bytes("last"), 4);
    Bytes first = link.seal(as_bytes("first"), 4);
    ASSERT_TRUE(link.open(last, 4));
    Bytes forged = first;
    forged.back() ^= 1;
    EXPECT_FALSE(link.open(forged, 4)) << "a forged packet does not change the epoch";
    const auto heard = link.open(first, 4);
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->number, packets_per_key);
    EXPECT_TRUE(link.open(late, 4));
    skip_to(2 * packets_per_key + 1);
    Bytes now = link.seal(as_bytes("now"), 4);
    EXPECT_TRUE(link.open(now, 4));
}

TEST(Packets, a_million_forged_ones_change_nothing) {
    Link link;
    std::mt19937_64 random(3);
    std::vector<Bytes> captured;
    std::uint64_t accepted = 0;
    for (int i = 0; i < 1'000'000; ++i) {
        if (i % 1000 == 0) {
            Bytes honest = link.seal(Bytes(40, static_cast<std::uint8_t>(i)));
            captured.push_back(honest);
            const auto heard = link.open(honest);
            ASSERT_TRUE(heard) << "honest packets pass, after " << i;
            EXPECT_EQ(heard->number, static_cast<std::uint64_t>(i / 1000));
            continue;
        }
        Bytes forged = captured[random() % captured.size()];
        switch (random() % 4) {
            case 0: break;  // replayed
            case 1: forged.resize(random() % forged.size()); break;
            case 2: forged[random() % forged.size()] ^= static_cast<std::uint8_t>(1 << random() % 8); break;
            default: for (auto& byte : forged) byte = static_cast<std::uint8_t>(random());
        }
        const std::uint64_t before = link.opener.next_number();
        accepted += link.opens(std::move(forged));
        ASSERT_EQ(link.opener.next_number(), before);
    }
    EXPECT_EQ(accepted, 0u);
}

/// What 8 zero bytes are sealed to: the cipher's stream, which depends on key and nonce alone. The same stream twice is a
/// nonce used twice under one key.
class Streams {
public:
    static constexpr std::size_t plain_bytes = 8;
    void add(BytesView sealed) {
        std::uint64_t stream;
        std::memcpy(&stream, sealed.data() + sealed.size() - Aead::tag_bytes - plain_bytes, sizeof stream);
        streams_.push_back(stream);
    }
    std::size_t size() const { return streams_.size(); }
    std::size_t repeated() {
        std::ranges::sort(streams_);
        return streams_.size() - static_cast<std::size_t>(std::ranges::unique(streams_).begin() - streams_.begin());
    }

private:
    std::vector<std::uint64_t> streams_;
};

// A restart keeps nothing of a link: all begins with a handshake of fresh seeds at both ends, also to the same server and
// with the same messages. Ten million streams of 64 bits would share one by chance in 3 of a million runs.
TEST(Nonces, ten_million_sealings_across_restarts_epochs_and_rekeys_are_all_distinct) {
    const Identity identity{Key(seed_of(1))};
    std::mt19937_64 random(11);
    const auto fresh = [&] {
        Seed seed;
        for (auto& byte : seed) byte = static_cast<std::uint8_t>(random());
        return seed;
    };
    Streams streams;
    const Bytes plain(Streams::plain_bytes);
    constexpr std::size_t restarts = 100;
    for (std::size_t restart = 0; restart < restarts; ++restart) {
        ClientHandshake client(identity.public_key(), fresh());
        ServerHandshake server(identity, fresh());
        ASSERT_TRUE(server.first(client.first({})));
        ASSERT_TRUE(client.second(server.second({})));
        // Both directions; ends that seal twice under one key would show as well as keys that come again.
        for (const Key& secret : {client.secrets().send, server.secrets().send}) {
            const bool long_one = restart == 0;
            RecordSealer records(secret);
            Bytes record;
            for (std::uint64_t i = long_one ? 3 * records_per_key : 10'000; i > 0; --i) {
                record.assign(record_head_bytes + Streams::plain_bytes, 0);
                records.seal_in_place(RecordKind::data, record);
                streams.add(record);
            }
            // Packets of a link of their own (one key seals either records or packets).
            PacketSealer packets(secret.derive("packets of this test"));
            std::array<std::uint8_t, PacketSealer::size(0, 4, Streams::plain_bytes)> packet;
            for (std::uint64_t i = long_one ? 2 * packets_per_key + 100'000 : 16'500; i > 0; --i) {
                packets.seal(packet, 0, 4, plain);
                streams.add(packet);
            }
        }
    }
    EXPECT_GE(streams.size(), 10'000'000u);
    EXPECT_EQ(streams.repeated(), 0u);
}

TEST(Nonces, a_key_that_came_again_would_be_seen) {
    Streams streams;
    for (int restart = 0; restart < 2; ++restart) {
        RecordSealer sealer(key);
        streams.add(record_of(sealer, std::string(Streams::plain_bytes, '\0')));
    }
    EXPECT_EQ(streams.repeated(), 1u);
}

/// An object in memory that can be looked at when it is gone.
template <typename T>
struct Looked {
    alignas(T) std::array<std::uint8_t, sizeof(T)> bytes{};
    T* object = new (bytes.data()) T(key);
    bool holds(const Key& wanted) const {
        return std::ranges::search(bytes, wanted.bytes()).begin() != bytes.end();
    }
};

TEST(Keys, are_forgotten_when_the_next_follows_and_at_the_end) {
    const Key next = next_key(key);
    Looked<RecordSealer> sealer;
    Looked<RecordOpener> opener;
    for (std::uint64_t i = 0; i < records_per_key; ++i) {
        ASSERT_TRUE(sealer.holds(key) && opener.holds(key));
        Bytes record = record_of(*sealer.object, "");
        ASSERT_TRUE(opener.object->open(record));
    }
    EXPECT_TRUE(sealer.holds(next) && opener.holds(next));
    EXPECT_FALSE(sealer.holds(key) || opener.holds(key));
    sealer.object->~RecordSealer();
    opener.object->~RecordOpener();
    EXPECT_FALSE(sealer.holds(next) || opener.holds(next));

    Looked<PacketSealer> packets;
    std::array<std::uint8_t, PacketSealer::size(0, 4, 0)> packet;
    for (std::uint64_t i = 0; i < packets_per_key; ++i) packets.object->seal(packet, 0, 4, {});
    EXPECT_TRUE(packets.holds(next) && !packets.holds(key));
    Looked<PacketOpener> last;
    packets.object->seal(packet, 0, 4, {});
    EXPECT_TRUE(last.holds(key));
    ASSERT_TRUE(last.object->open(packet, 0, 4));  // of the next epoch
    EXPECT_TRUE(last.holds(next) && !last.holds(key));
    packets.object->~PacketSealer();
    last.object->~PacketOpener();
    EXPECT_FALSE(packets.holds(next) || last.holds(next));
}

TEST(Cookie, is_good_for_one_address_one_hello_and_some_seconds) {
    const CookieJar jar(seed_of(1)), other(seed_of(2));
    const TimePoint now{100s};
    const Bytes bound(32, 9);
    const Cookie cookie = jar.make(7, bound, now);
    EXPECT_TRUE(jar.check(cookie, 7, bound, now));
    EXPECT_TRUE(jar.check(cookie, 7, bound, now + CookieJar::valid_for));
    EXPECT_FALSE(jar.check(cookie, 7, bound, now + 2 * CookieJar::valid_for));
    EXPECT_FALSE(jar.check(cookie, 7, bound, now - CookieJar::valid_for)) << "of the future";
    EXPECT_FALSE(jar.check(cookie, 8, bound, now));
    EXPECT_FALSE(jar.check(cookie, 7, Bytes(32, 8), now));
    EXPECT_FALSE(other.check(cookie, 7, bound, now));
    for (std::size_t bit = 0; bit < cookie.size() * 8; ++bit) {
        Cookie changed = cookie;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        EXPECT_FALSE(jar.check(changed, 7, bound, now)) << bit;
    }
    EXPECT_FALSE(jar.check({}, 7, bound, now));
}

}  // namespace
}  // namespace gyre::secure
