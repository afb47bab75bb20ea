#include <algorithm>
#include <cmath>
#include <gyre/base/assert.hpp>
#include <gyre/metric/histogram.hpp>

namespace gyre::metric {

void Histogram::merge(const Histogram& other) {
    if (other.count_ == 0) return;
    if (buckets_.empty()) buckets_.resize(bucket_count);
    for (std::size_t i = 0; i < bucket_count; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::quantile(double q) const {
    GYRE_ASSERT(q >= 0 && q <= 1, "quantile outside [0, 1]");
    if (count_ == 0) return 0;
    // 0.99 * 100 is a little above 99 in binary: without the slack the rank would be 100.
    const double exact_rank = q * static_cast<double>(count_);
    const auto rank =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(exact_rank * (1 - 1e-12))));
    if (rank >= count_) return max_;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
        seen += buckets_[i];
        if (seen < rank) continue;
        if (i == bucket_count - 1) return max_;
        return std::clamp(middle_of(i), min_, max_);
    }
    return max_;
}

std::uint64_t Histogram::count_at_most(std::uint64_t value) const {
    if (count_ == 0 || value < min_) return 0;
    if (value >= max_) return count_;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i <= bucket_of(value); ++i) seen += buckets_[i];
    return seen;
}

}  // namespace gyre::metric
