#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <gyre/base/hash.hpp>
#include <gyre/metric/histogram.hpp>
#include <vector>

namespace gyre::metric {
namespace {

/// Log-uniform over [1, 2^max_bits): every octave is hit.
std::vector<std::uint64_t> values(std::size_t count, std::uint64_t seed, int max_bits) {
    std::vector<std::uint64_t> result;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t random = mix(seed + i);
        result.push_back((random >> (64 - max_bits)) >> (random % static_cast<unsigned>(max_bits)));
    }
    return result;
}

TEST(Histogram, quantiles_are_within_one_percent) {
    for (const int bits : {8, 20, 39}) {
        Histogram histogram;
        auto all = values(50'000, 7, bits);
        for (const auto value : all) histogram.record(value);
        std::sort(all.begin(), all.end());
        for (double q = 0; q <= 1.0; q += 0.001) {
            const auto rank = static_cast<std::size_t>(std::ceil(q * 50'000 * (1 - 1e-12)));
            const auto exact = static_cast<double>(all[std::max<std::size_t>(rank, 1) - 1]);
            ASSERT_NEAR(static_cast<double>(histogram.quantile(q)), exact, 0.01 * exact)
                << "q=" << q << " bits=" << bits;
        }
    }
}

TEST(Histogram, every_bucket_edge_reads_back_within_one_percent) {
    for (int bit = 0; bit < 40; ++bit) {
        for (const std::int64_t delta : {-1, 0, 1}) {
            const auto value = (std::uint64_t{1} << bit) + static_cast<std::uint64_t>(delta);
            Histogram histogram;
            histogram.record(value);
            histogram.record(~std::uint64_t{0} >> 1);
            const auto read = static_cast<double>(histogram.quantile(0.5));
            ASSERT_NEAR(read, static_cast<double>(value), 0.01 * static_cast<double>(value));
        }
    }
}

TEST(Histogram, knows_extremes_and_mean_exactly) {
    Histogram histogram;
    EXPECT_EQ(histogram.quantile(0.5), 0u);
    EXPECT_EQ(histogram.min(), 0u);
    for (std::uint64_t i = 1; i <= 100; ++i) histogram.record(i);
    EXPECT_EQ(histogram.quantile(0.5), 50u);
    EXPECT_EQ(histogram.quantile(0.99), 99u);
    EXPECT_EQ(histogram.quantile(1), 100u);
    EXPECT_EQ(histogram.quantile(0), 1u);
    EXPECT_EQ(histogram.mean(), 50.5);
    EXPECT_EQ(histogram.count_at_most(42), 42u);
    EXPECT_EQ(histogram.count_at_most(1'000), 100u);
    EXPECT_EQ(histogram.count_at_most(0), 0u);
    histogram.record(std::uint64_t{1} << 50);
    EXPECT_EQ(histogram.max(), std::uint64_t{1} << 50);
    histogram.clear();
    EXPECT_EQ(histogram.count(), 0u);
}

TEST(Histogram, merge_equals_recording_everything_in_one) {
    Histogram one, left, right, merged;
    for (const auto value : values(10'000, 1, 30)) one.record(value), left.record(value);
    for (const auto value : values(10'000, 2, 12)) one.record(value), right.record(value);
    merged.merge(Histogram{});
    merged.merge(left);
    merged.merge(right);
    EXPECT_EQ(merged.count(), one.count());
    EXPECT_EQ(merged.sum(), one.sum());
    EXPECT_EQ(merged.min(), one.min());
    for (double q = 0; q <= 1; q += 0.01) ASSERT_EQ(merged.quantile(q), one.quantile(q));
}

}  // namespace
}  // namespace gyre::metric
