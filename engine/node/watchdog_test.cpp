#include <gtest/gtest.h>

#include <atomic>
#include <gyre/io/loop.hpp>
#include <gyre/node/watchdog.hpp>
#include <thread>

namespace gyre::node {
namespace {

TEST(Watchdog, barks_when_the_loop_is_stuck_and_only_then) {
    io::Loop loop;
    std::atomic<int> barks = 0;
    Watchdog dog([&loop](std::function<void()> action) { loop.post(std::move(action)); },
                 [&barks](Duration, const std::vector<std::string>& names) {
                     EXPECT_EQ(names.at(0), "a");
                     ++barks;
                 });
    dog.arm(40ms, "a");
    loop.run_until([] { return false; }, 300ms);
    EXPECT_EQ(barks, 0) << "it turns";
    while (barks == 0) std::this_thread::yield();  // stuck
    dog.disarm("a");
    loop.run_until([] { return false; }, 20ms);
    const int before = barks;
    const auto end = std::chrono::steady_clock::now() + 150ms;
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
    EXPECT_EQ(barks, before) << "nobody asks it to watch";
}

TEST(Watchdog, is_armed_as_often_as_it_was_asked) {
    io::Loop loop;
    std::atomic<int> barks = 0;
    Watchdog dog([&loop](std::function<void()> action) { loop.post(std::move(action)); },
                 [&barks](Duration, const std::vector<std::string>& names) {
                     EXPECT_EQ(names.at(0), "a");
                     ++barks;
                 });
    dog.arm(20ms, "a");
    dog.arm(20ms, "b");
    dog.disarm("b");
    while (barks == 0) std::this_thread::yield();
    dog.disarm("a");
}

TEST(Watchdog, may_go_before_its_closures) {
    io::Loop loop;
    {
        Watchdog dog([&loop](std::function<void()> action) { loop.post(std::move(action)); }, [](Duration, const std::vector<std::string>&) {});
        dog.arm(10s, "a");
    }
    loop.run_until([] { return false; }, 10ms);
}

}  // namespace
}  // namespace gyre::node
