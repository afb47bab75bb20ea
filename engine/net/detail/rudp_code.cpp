#include <gyre/base/assert.hpp>
#include <gyre/net/detail/rudp_code.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace gyre::net::rudp {
namespace {

/// The products of one factor with all low and all high halves of a byte.
struct alignas(32) Products {
    std::uint8_t low[16], high[16];
};

constexpr unsigned slow_multiply(unsigned a, unsigned b) {
    unsigned product = 0;
    for (; b > 0; b >>= 1, a = a << 1 ^ (a & 0x80 ? 0x11Du : 0u))
        if (b & 1) product ^= a;
    return product;
}

constexpr std::array<Products, 256> products = [] {
    std::array<Products, 256> all{};
    for (unsigned factor = 0; factor < 256; ++factor)
        for (unsigned half = 0; half < 16; ++half) {
            all[factor].low[half] = static_cast<std::uint8_t>(slow_multiply(factor, half));
            all[factor].high[half] = static_cast<std::uint8_t>(slow_multiply(factor, half << 4));
        }
    return all;
}();

constexpr std::array<std::uint8_t, 256> inverses = [] {
    std::array<std::uint8_t, 256> all{};
    std::uint8_t powers[255] = {1};  // of 2, which generates all
    for (unsigned i = 1; i < 255; ++i) powers[i] = static_cast<std::uint8_t>(slow_multiply(powers[i - 1], 2));
    for (unsigned i = 0; i < 255; ++i) all[powers[i]] = powers[(255 - i) % 255];
    return all;
}();

void add_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t size, const Products& by) {
    for (std::size_t i = 0; i < size; ++i) to[i] ^= static_cast<std::uint8_t>(by.low[from[i] & 15] ^ by.high[from[i] >> 4]);
}

#ifdef __x86_64__
// 0 for the first 16, then 255: where to load from to mask all but the last bytes of sixteen.
alignas(32) constexpr std::array<std::uint8_t, 32> last_mask = [] {
    std::array<std::uint8_t, 32> mask{};
    std::fill(mask.begin() + 16, mask.end(), std::uint8_t{255});
    return mask;
}();

__attribute__((target("ssse3"))) inline __m128i product_16(const std::uint8_t* from, __m128i low, __m128i high) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i half = _mm_set1_epi8(15);
    return _mm_xor_si128(_mm_shuffle_epi8(low, _mm_and_si128(bytes, half)),
                         _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16(bytes, 4), half)));
}

/// From `at` on, size >= 16: the end is done again with what is done already masked.
__attribute__((target("ssse3"))) inline void add_16s(std::uint8_t* to, const std::uint8_t* from, std::size_t at,
                                                     std::size_t size, __m128i low, __m128i high) {
    const auto add = [&](std::size_t i, __m128i product) __attribute__((target("ssse3"))) {
        auto* place = reinterpret_cast<__m128i*>(to + i);
        _mm_storeu_si128(place, _mm_xor_si128(_mm_loadu_si128(place), product));
    };
    for (; at + 16 <= size; at += 16) add(at, product_16(from + at, low, high));
    if (at == size) return;
    const __m128i mask = _mm_loadu_si128(reinterpret_cast<const __m128i*>(last_mask.data() + (size - at)));
    add(size - 16, _mm_and_si128(mask, product_16(from + size - 16, low, high)));
}

__attribute__((target("ssse3"))) void add_ssse3(std::uint8_t* to, const std::uint8_t* from, std::size_t size, const Products& by) {
    add_16s(to, from, 0, size, _mm_load_si128(reinterpret_cast<const __m128i*>(by.low)),
            _mm_load_si128(reinterpret_cast<const __m128i*>(by.high)));
}

__attribute__((target("avx2"))) void add_avx2(std::uint8_t* to, const std::uint8_t* from, std::size_t size, const Products& by) {
    const __m128i low_16 = _mm_load_si128(reinterpret_cast<const __m128i*>(by.low));
    const __m128i high_16 = _mm_load_si128(reinterpret_cast<const __m128i*>(by.high));
    const __m256i low = _mm256_broadcastsi128_si256(low_16), high = _mm256_broadcastsi128_si256(high_16);
    const __m256i half = _mm256_set1_epi8(15);
    std::size_t at = 0;
    for (; at + 32 <= size; at += 32) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at));
        const __m256i product = _mm256_xor_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(bytes, half)),
                                                 _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
        auto* place = reinterpret_cast<__m256i*>(to + at);
        _mm256_storeu_si256(place, _mm256_xor_si256(_mm256_loadu_si256(place), product));
    }
    if (at < size) add_16s(to, from, at, size, low_16, high_16);
}
#endif

}  // namespace

std::uint8_t multiply(std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(products[a].low[b & 15] ^ products[a].high[b >> 4]);
}

void add_scaled(std::span<std::uint8_t> to, BytesView from, std::uint8_t factor) {
    GYRE_ASSERT(from.size() <= to.size(), "what is added fits");
    const Products& by = products[factor];
#ifdef __x86_64__
    if (from.size() >= 16) {
        if (__builtin_cpu_supports("avx2")) return add_avx2(to.data(), from.data(), from.size(), by);
        if (__builtin_cpu_supports("ssse3")) return add_ssse3(to.data(), from.data(), from.size(), by);
    }
#endif
    add_bytes(to.data(), from.data(), from.size(), by);
}

/// In reduced row echelon form: each row has a pivot, a column that is 1 in this row and 0 in all others. So an unknown
/// that the equations determine is one whose row has nothing but the pivot.
struct RepairDecoder::Equations {
    struct Row {
        std::array<std::uint8_t, max_unknowns> factors{};  // by column
        std::size_t pivot = 0;
        Bytes symbol;

        unsigned weight() const {
            return static_cast<unsigned>(max_unknowns) - static_cast<unsigned>(std::ranges::count(factors, std::uint8_t{0}));
        }
        void resize(std::size_t bytes) {
            symbol.reserve(bytes);  // exactly
            symbol.resize(bytes);
        }
        void add(const Row& other, std::uint8_t factor) {
            if (symbol.size() < other.symbol.size()) resize(other.symbol.size());
            add_scaled(symbol, other.symbol, factor);
            add_scaled(factors, other.factors, factor);
        }
        void scale(std::uint8_t by) {
            if (by == 1) return;
            for (std::uint8_t& factor : factors) factor = multiply(factor, by);
            add_scaled(symbol, symbol, by ^ 1);
        }
    };

    std::array<Row, max_equations> rows;  // [0, count), oldest first; the others' memory is used again
    std::array<std::uint64_t, max_unknowns> numbers;  // of columns
    std::uint32_t used = 0;                           // columns, a bit each
    std::size_t& count;

    explicit Equations(std::size_t& rows_in_use) : count(rows_in_use) {}

    std::size_t find(std::uint64_t number) const {
        for (std::uint32_t left = used; left > 0; left &= left - 1) {
            const auto column = static_cast<std::size_t>(std::countr_zero(left));
            if (numbers[column] == number) return column;
        }
        return max_unknowns;
    }
    void drop(std::size_t row) {
        const auto at = rows.begin() + static_cast<std::ptrdiff_t>(row);
        std::rotate(at, at + 1, rows.begin() + static_cast<std::ptrdiff_t>(count));
        --count;
    }
    /// Columns of no row are free again.
    void sweep() {
        std::uint32_t seen = 0;
        for (std::size_t i = 0; i < count; ++i)
            for (std::size_t column = 0; column < max_unknowns; ++column)
                seen |= static_cast<std::uint32_t>(rows[i].factors[column] != 0) << column;
        used = seen;
    }
    /// Makes `column` the row's pivot.
    void pivot_on(std::size_t row, std::size_t column) {
        Row& with = rows[row];
        with.scale(inverses[with.factors[column]]);
        with.pivot = column;
        for (std::size_t i = 0; i < count; ++i)
            if (const std::uint8_t factor = rows[i].factors[column]; i != row && factor > 0) rows[i].add(with, factor);
    }
    /// Any column of the row; false: it has none.
    static bool some_column(const Row& row, std::size_t& column) {
        const auto at = std::ranges::find_if(row.factors, [](std::uint8_t factor) { return factor != 0; });
        column = static_cast<std::size_t>(at - row.factors.begin());
        return at != row.factors.end();
    }
};

RepairDecoder::RepairDecoder() = default;
RepairDecoder::~RepairDecoder() = default;

void RepairDecoder::release() {
    equations_.reset();
    count_ = 0;
}

void RepairDecoder::repair(std::uint64_t packet, unsigned index, std::uint64_t first, unsigned span, BytesView symbol,
                           const KnownRecords& known) {
    GYRE_ASSERT(span >= 1 && span <= max_span, "the wire has no other span");
    std::array<BytesView, max_span> records;
    unsigned unknowns = 0;
    for (unsigned i = 0; i < span; ++i) {
        records[i] = known.record(first + i);
        if (records[i].size() > symbol.size()) return;
        if (!records[i].empty()) continue;
        if (!known.wanted(first + i)) return;
        ++unknowns;
    }
    if (unknowns == 0 || symbol.size() > max_symbol_bytes) return;

    if (!equations_) equations_ = std::make_unique<Equations>(count_);
    Equations& all = *equations_;
    const auto missing = [&] {
        unsigned columns = 0;
        for (unsigned i = 0; i < span; ++i) columns += records[i].empty() && all.find(first + i) == max_unknowns;
        return columns;
    };
    while (count_ == max_equations || static_cast<unsigned>(std::popcount(all.used)) + missing() > max_unknowns) {
        all.drop(0);
        all.sweep();
    }
    Equations::Row& row = all.rows[count_];
    row.factors.fill(0);
    row.symbol.clear();
    row.resize(symbol.size());
    std::memcpy(row.symbol.data(), symbol.data(), symbol.size());
    for (unsigned i = 0; i < span; ++i) {
        const std::uint8_t factor = coefficient(packet, index, first + i);
        if (!records[i].empty()) {
            add_scaled(row.symbol, records[i], factor);
            continue;
        }
        std::size_t column = all.find(first + i);
        if (column == max_unknowns) {
            column = static_cast<std::size_t>(std::countr_one(all.used));
            all.used |= 1u << column;
            all.numbers[column] = first + i;
        }
        row.factors[column] = factor;
    }
    for (std::size_t i = 0; i < count_; ++i)
        if (const std::uint8_t factor = row.factors[all.rows[i].pivot]; factor > 0) row.add(all.rows[i], factor);
    std::size_t column = 0;
    if (!Equations::some_column(row, column)) return;  // it follows from the others: it brought no column
    ++count_;
    all.pivot_on(count_ - 1, column);
}

void RepairDecoder::known_slow(std::uint64_t number, BytesView record) {
    Equations& all = *equations_;
    const std::size_t column = all.find(number);
    if (column == max_unknowns) return;
    for (std::size_t i = 0; i < count_;) {
        Equations::Row& row = all.rows[i];
        const std::uint8_t factor = std::exchange(row.factors[column], std::uint8_t{0});
        if (factor == 0) {
            ++i;
            continue;
        }
        std::size_t other = 0;
        if (record.size() > row.symbol.size() || !Equations::some_column(row, other)) {
            all.drop(i);  // no sum of it, or nothing but it
            continue;
        }
        add_scaled(row.symbol, record, factor);
        if (row.pivot == column) all.pivot_on(i, other);
        ++i;
    }
    all.sweep();
}

bool RepairDecoder::recovered_slow(std::uint64_t& number, Bytes& record) {
    Equations& all = *equations_;
    for (std::size_t i = 0; i < count_; ++i) {
        Equations::Row& row = all.rows[i];
        if (row.weight() > 1) continue;
        number = all.numbers[row.pivot];
        record.assign(row.symbol.begin(), row.symbol.end());
        all.used &= ~(1u << row.pivot);
        all.drop(i);
        return true;
    }
    return false;
}

void RepairDecoder::forget_slow(std::uint64_t number) {
    Equations& all = *equations_;
    for (std::size_t column = 0; column < max_unknowns; ++column) {
        if (!(all.used >> column & 1) || all.numbers[column] >= number) continue;
        // One equation goes with the unknown; the others can do without it.
        std::size_t row = 0;
        while (row < count_ && all.rows[row].factors[column] == 0) ++row;
        if (row == count_) continue;
        all.pivot_on(row, column);
        all.drop(row);
    }
    all.sweep();
}

}  // namespace gyre::net::rudp
