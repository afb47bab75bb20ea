#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gyre::metric {

/// How often which value came, in the unit the name says (usually microseconds). Values below 128
/// are exact, larger ones fall in buckets 1/64 to 1/128 of the value wide, so a quantile is off by
/// less than 1 %. At and above 2^40 all share the last bucket; min, max and sum stay exact.
/// Memory: 18 KB, taken by the first record(). One thread; copy or merge to hand it on.
class Histogram {
public:
    void record(std::uint64_t value, std::uint64_t times = 1) {
        if (buckets_.empty()) [[unlikely]]
            buckets_.resize(bucket_count);
        buckets_[bucket_of(value)] += times;
        count_ += times;
        sum_ += value * times;
        if (value < min_) min_ = value;
        if (value > max_) max_ = value;
    }
    void merge(const Histogram& other);
    void clear() { *this = {}; }

    std::uint64_t count() const { return count_; }
    std::uint64_t sum() const { return sum_; }
    std::uint64_t min() const { return count_ ? min_ : 0; }
    std::uint64_t max() const { return max_; }
    double mean() const {
        return count_ ? static_cast<double>(sum_) / static_cast<double>(count_) : 0;
    }

    /// The value at the nearest rank: quantile(0.99) is p99. q in [0, 1]; 0 when empty.
    std::uint64_t quantile(double q) const;
    /// How many values were <= `value`, to the width of a bucket: for exposition by upper bounds.
    std::uint64_t count_at_most(std::uint64_t value) const;

private:
    static constexpr int half_bits = 6;  // 2^6 buckets for each power of two
    static constexpr std::uint64_t half = std::uint64_t{1} << half_bits;
    static constexpr int value_bits = 40;
    static constexpr std::size_t bucket_count = half * (value_bits - half_bits + 1);

    static constexpr std::size_t bucket_of(std::uint64_t value) {
        if (value < 2 * half) return value;
        const int shift = static_cast<int>(std::bit_width(value)) - (half_bits + 1);
        if (shift >= value_bits - half_bits) return bucket_count - 1;
        return half * static_cast<std::size_t>(shift) + (value >> shift);
    }
    static constexpr std::uint64_t middle_of(std::size_t bucket) {
        if (bucket < 2 * half) return bucket;
        const auto shift = bucket / half - 1;
        const auto low = (bucket - half * shift) << shift;
        return low + (std::uint64_t{1} << shift) / 2;
    }

    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0, sum_ = 0, min_ = ~std::uint64_t{0}, max_ = 0;
};

}  // namespace gyre::metric
