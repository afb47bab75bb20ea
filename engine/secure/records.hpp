#pragma once
#include <gyre/secure/aead.hpp>

/// Sealed records of a stream (protocol/session.md): a head of 4 bytes, 24 bits of length of what follows,
/// little-endian, and a kind; the sealed bytes; 16 bytes of tag. Records are numbered by their order, and the
/// key follows itself after each 2^16 of them.
namespace gyre::secure {

enum class RecordKind : std::uint8_t {
    data = 0,
    close = 1,  ///< Nothing follows; empty.
};
inline constexpr std::size_t record_head_bytes = 4;
inline constexpr std::size_t max_record_plain = 16 * 1024;
inline constexpr std::uint64_t records_per_key = 1u << 16;

class RecordSealer {
public:
    explicit RecordSealer(const Key& key);
    /// `record`: room for the head, then at most max_record_plain bytes. Allocates only when the tag does
    /// not fit into its capacity.
    void seal_in_place(RecordKind kind, Bytes& record);

private:
    Key key_;
    Aead aead_;
    std::uint64_t number_ = 0;
};

struct Record {
    RecordKind kind;
    BytesView plain;  ///< Within the bytes that were opened.
};

class RecordOpener {
public:
    static constexpr std::size_t head_bytes = record_head_bytes;
    explicit RecordOpener(const Key& key);
    /// Bytes of the record with this head, the head included. Errors: bad_data, too_large.
    Result<std::size_t> size(BytesView head) const;
    /// The next record, whole, in place. Error: unauthorized (changed, left out, repeated or out of order);
    /// then no later one opens.
    Result<Record> open(std::span<std::uint8_t> record);

private:
    Key key_;
    Aead aead_;
    std::uint64_t number_ = 0;
    bool broken_ = false;
};

}  // namespace gyre::secure
