#include <gtest/gtest.h>

#include <gyre/metric/registry.hpp>

namespace gyre::metric {
namespace {

TEST(Registry, same_name_and_labels_are_one_instrument) {
    Registry registry;
    Counter& first = registry.counter("gyre_link_sent_bytes_total", {{"to", "a"}, {"by", "b"}});
    first.add(3);
    registry.counter("gyre_link_sent_bytes_total", {{"by", "b"}, {"to", "a"}}).add(4);
    registry.counter("gyre_link_sent_bytes_total", {{"by", "c"}}).add();
    EXPECT_EQ(first.value(), 7u);
    EXPECT_EQ(registry.snapshot().samples.size(), 2u);
}

TEST(Registry, snapshot_is_ordered_by_name_and_labels_and_owns_its_values) {
    Registry registry;
    registry.histogram("gyre_rpc_latency_us", {{"method", "b"}}, "Call to reply.").record(250);
    registry.gauge("gyre_session_open_count").set(2.5);
    registry.counter("gyre_call_count_total").add(9);
    Histogram& a = registry.histogram("gyre_rpc_latency_us", {{"method", "a"}});
    const Snapshot snapshot = registry.snapshot();
    a.record(1);
    ASSERT_EQ(snapshot.samples.size(), 4u);
    EXPECT_EQ(snapshot.samples[0].name, "gyre_call_count_total");
    EXPECT_EQ(snapshot.samples[0].value, 9);
    EXPECT_EQ(snapshot.samples[1].labels, (Labels{{"method", "a"}}));
    EXPECT_EQ(snapshot.samples[1].histogram.count(), 0u);
    EXPECT_EQ(snapshot.samples[2].histogram.quantile(0.5), 250u);
    EXPECT_EQ(snapshot.samples[2].help, "Call to reply.");
    EXPECT_EQ(snapshot.samples[3].kind, Kind::gauge);
    ASSERT_NE(snapshot.find("gyre_session_open_count"), nullptr);
    EXPECT_EQ(snapshot.find("gyre_session_open_count")->value, 2.5);
    EXPECT_EQ(snapshot.find("gyre_rpc_latency_us"), nullptr);
}

TEST(Registry, labels_cannot_grow_without_bound) {
    Registry registry;
    for (int i = 0; i < 5'000; ++i) {
        registry.counter("gyre_wrong_count_total", {{"player", std::to_string(i)}}).add();
    }
    const Snapshot snapshot = registry.snapshot();
    EXPECT_EQ(snapshot.samples.size(), Registry::series_max + 1);
    EXPECT_EQ(snapshot.find("gyre_wrong_count_total", {{"overflow", "true"}})->value, 4'000);
}

TEST(RegistryDeathTest, a_wrong_name_is_our_own_mistake) {
    Registry registry;
    EXPECT_DEATH(registry.counter("gyre_bytes"), "_total");
    EXPECT_DEATH(registry.gauge("gyre bytes"), "snake_case");
    registry.gauge("gyre_open_count");
    EXPECT_DEATH(registry.histogram("gyre_open_count"), "two kinds");
}

}  // namespace
}  // namespace gyre::metric
