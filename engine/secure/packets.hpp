#pragma once
#include <bitset>
#include <gyre/secure/aead.hpp>
#include <optional>

/// Sealed datagrams (protocol/session.md): a head of the caller's, the low bytes of the packet's number, the
/// sealed bytes, 16 bytes of tag; head and number bytes are authenticated. Numbers have 64 bits, begin at 0
/// and are never used twice. The key follows itself after each 2^20 of them.
namespace gyre::secure {

inline constexpr std::uint64_t packets_per_key = 1u << 20;
inline constexpr std::uint64_t replay_window = 1024;  ///< Packets this much older than the newest are not taken.

class PacketSealer {
public:
    explicit PacketSealer(const Key& key);
    std::uint64_t next_number() const { return number_; }
    /// How long a packet with so much plain becomes.
    static constexpr std::size_t size(std::size_t head_bytes, unsigned number_bytes, std::size_t plain) {
        return head_bytes + number_bytes + plain + Aead::tag_bytes;
    }
    /// `out` begins with the head and has room for size(...). number_bytes: [1, 4]; the other end finds the
    /// rest while it has heard of one of the last 256^number_bytes / 2 packets. Returns the packet's size.
    std::size_t seal(std::span<std::uint8_t> out, std::size_t head_bytes, unsigned number_bytes, BytesView plain);
    /// Gives back 1.2 KB until the next packet, which costs 1 us more.
    void rest() { aead_.reset(); }

private:
    Key key_;
    std::optional<Aead> aead_;  // none: it rests
    std::uint64_t number_ = 0;
};

struct Packet {
    std::uint64_t number;
    std::span<std::uint8_t> plain;  ///< Within the bytes that were opened.
    bool newest;                    ///< Above all that were opened before.
};

class PacketOpener {
public:
    explicit PacketOpener(const Key& key);
    /// In place. Each number opens once; nothing of the opener changes but by a packet that opens.
    /// Errors: bad_data (too short), unauthorized (not sealed by the other end, opened before, or too old).
    Result<Packet> open(std::span<std::uint8_t> packet, std::size_t head_bytes, unsigned number_bytes);
    std::uint64_t next_number() const { return next_; }  ///< One above the newest.
    void rest() { aead_.reset(); }                       ///< As of a sealer.

private:
    bool seen(std::uint64_t number) const;
    void mark(std::uint64_t number);

    Key key_;  // of epoch_
    std::optional<Aead> aead_;    // none: it rests
    std::optional<Aead> before_;  // of the epoch before
    std::uint64_t epoch_ = 0, next_ = 0;
    std::bitset<replay_window> seen_;  // by number % replay_window, of those below next_
};

}  // namespace gyre::secure
