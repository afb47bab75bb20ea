#pragma once
#include <gyre/base/bytes.hpp>
#include <memory>

/// The sliding-window repair code of protocol/rudp.md: sums of records over GF(256).
namespace gyre::net::rudp {

inline constexpr unsigned max_span = 8;               ///< Segments of one repair.
inline constexpr std::size_t max_symbol_bytes = 1200;

/// Of the segment in the index-th repair of a packet; [1, 255]. Numbers are 64-bit.
constexpr std::uint8_t coefficient(std::uint64_t packet, unsigned index, std::uint64_t segment) {
    std::uint32_t h = static_cast<std::uint32_t>(packet) * 0x9E3779B1u + index * 0x85EBCA77u +
                      static_cast<std::uint32_t>(segment & 0xFFFF) * 0xC2B2AE3Du;
    h ^= h >> 15;
    h *= 0x2C1B3C6Du;
    h ^= h >> 13;
    return static_cast<std::uint8_t>(1 + h % 255);
}

/// In GF(256), polynomial 0x11D.
std::uint8_t multiply(std::uint8_t a, std::uint8_t b);
/// to[i] ^= factor * from[i]. from.size() <= to.size(). They are the same or do not overlap.
void add_scaled(std::span<std::uint8_t> to, BytesView from, std::uint8_t factor);

/// What a receiver has.
class KnownRecords {
public:
    virtual BytesView record(std::uint64_t number) const = 0;  ///< Empty: it is not here.
    virtual bool wanted(std::uint64_t number) const = 0;       ///< Has not been received and still is of use.

protected:
    ~KnownRecords() = default;
};

/// The equations of a receiver: what repairs tell of segments that have not come. At most 16 equations of 16
/// unknowns, each symbol at most max_symbol_bytes, and nothing at all until one repair has an unknown.
/// Symbols may hold anything: they make wrong records at most.
class RepairDecoder {
public:
    static constexpr std::size_t max_equations = 16, max_unknowns = 16;

    RepairDecoder();
    ~RepairDecoder();
    RepairDecoder(const RepairDecoder&) = delete;

    /// A segment came another way. Others may be recovered now.
    void known(std::uint64_t number, BytesView record) {
        if (!empty()) known_slow(number, record);
    }
    /// The index-th repair of a packet: of segments [first, first + span), span in [1, max_span]. It is passed over
    /// when it tells nothing new, is shorter than a record it is of, or is of a segment neither here nor wanted.
    void repair(std::uint64_t packet, unsigned index, std::uint64_t first, unsigned span, BytesView symbol,
                const KnownRecords& known);
    /// The next segment the equations tell, which then is no unknown any more; the record may have zeros behind it.
    /// False: none.
    bool recovered(std::uint64_t& number, Bytes& record) { return !empty() && recovered_slow(number, record); }
    /// Segments below are of no use any more.
    void forget_below(std::uint64_t number) {
        if (!empty()) forget_slow(number);
    }
    bool empty() const { return count_ == 0; }
    /// Forgets everything and gives back all memory.
    void release();

private:
    struct Equations;
    void known_slow(std::uint64_t number, BytesView record);
    bool recovered_slow(std::uint64_t& number, Bytes& record);
    void forget_slow(std::uint64_t number);

    std::unique_ptr<Equations> equations_;
    std::size_t count_ = 0;  // of equations
};

}  // namespace gyre::net::rudp
