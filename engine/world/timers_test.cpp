#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/sim/world.hpp>
#include <gyre/world/entity.hpp>

namespace gyre {
namespace {

struct Pocket : Component<Pocket> {
    int ticks = 0;
    void tick() { ++ticks; }
    static consteval auto describe() {
        return type<Pocket>("Pocket", field<&Pocket::ticks>(), method<&Pocket::tick>());
    }
};

struct Player : Entity<Player, Pocket> {
    std::vector<std::int64_t> beats_ms;  ///< When each came, since the beginning.
    int running = 0, running_max = 0;
    TimerId other{};

    using Attached::timers;
    std::int64_t now_ms() const { return now().time_since_epoch() / 1ms; }
    void beat() { beats_ms.push_back(now_ms()); }
    Task<> slow() {
        beats_ms.push_back(now_ms());
        running_max = std::max(running_max, ++running);
        co_await sleep(25ms);
        --running;
    }
    void cancel_itself() { beat(), timers().cancel("self"); }
    void cancel_other() { beat(), timers().cancel(other); }
    void leave() { beat(), retire(id()); }
    void fail() {
        beat();
        throw Error("broken", "on purpose");
    }
    Task<> lose_link() {
        beat();
        co_await sleep(0ms);
        throw Error(errc::disconnected, "somebody else");
    }
    static consteval auto describe() {
        return type<Player>("Player", field<&Player::beats_ms>(), field<&Player::running>(),
                            field<&Player::running_max>(), field<&Player::other>(),
                            method<&Player::beat>(), method<&Player::slow>(),
                            method<&Player::cancel_itself>(), method<&Player::cancel_other>(),
                            method<&Player::leave>(), method<&Player::fail>(),
                            method<&Player::lose_link>());
    }
};

/// What docs/timers.md shows.
struct Avatar : Entity<Avatar> {
    WallTime last_reset{};
    int saves = 0, burns = 0, resets = 0;
    bool invited = true;

    void start_timers(WallTime event_begins) {
        // Again and again; now, then nine times more; once.
        timers().every<&Avatar::autosave>(5s, "autosave");
        timers().every<&Avatar::burn>(1s, "burning", {.first = 0ms, .count = 10});
        timers().after(30s, "invite", [this] { invited = false; });
        timers().after<&Avatar::respawn>(5s, "respawn");
        // At a WallTime, at 04:00 UTC every day, on Mondays at 05:00 where clocks show UTC + 9.
        timers().at<&Avatar::open_gates>(event_begins, "event");
        timers().daily<&Avatar::new_day>({.hour = 4}, "reset");
        timers().weekly<&Avatar::new_week>(Weekday::monday, {.hour = 5, .utc_offset = 9h}, "reset");
    }
    int stop_timers(TimerId id) {
        std::size_t ended = timers().cancel("reset");  // all that share the key
        ended += timers().cancel(id);                  // every call above returns a TimerId
        return static_cast<int>(ended + timers().pending("burning"));
    }
    Task<> on_start() {
        const TimeOfDay reset{.hour = 4};
        if (last_reset < latest_daily(timers().wall_now(), reset)) new_day();
        timers().daily<&Avatar::new_day>(reset, "reset");
        co_return;
    }
    void autosave() { ++saves; }
    void burn() { ++burns; }
    void respawn() {}
    void open_gates() {}
    void new_day() { ++resets, last_reset = timers().wall_now(); }
    void new_week() {}
    static consteval auto describe() {
        return type<Avatar>(
            "Avatar", field<&Avatar::last_reset>(), field<&Avatar::saves>(),
            field<&Avatar::burns>(), field<&Avatar::resets>(), field<&Avatar::invited>(),
            method<&Avatar::autosave>(), method<&Avatar::burn>(), method<&Avatar::respawn>(),
            method<&Avatar::open_gates>(), method<&Avatar::new_day>(), method<&Avatar::new_week>());
    }
};

struct TimersTest : testing::Test {
    TimersTest() {
        identity.scope = &scope;
        identity.host = &host;
        static constexpr const world::TypeTable* types[] = {&world::table<Player>,
                                                            &world::table<Avatar>};
        host.add_types(types).value();
        world.run_for(1s - (machine.now().time_since_epoch() % 1s));
        begin = machine.now();
        player = &make();
        timers = &player->timers();
    }
    ~TimersTest() override {
        auto end = [](world::Host* h) -> Task<> { co_await h->destroy_all(); };
        world.run(machine, end(&host));
        EXPECT_EQ(machine.executor().timers(), 0u) << "nothing is left behind";
        world.run(machine, scope.close());
    }
    Player& make() {
        auto& record = host.create(world::table<Player>);
        world.run_for(0s);
        return *static_cast<Player*>(record.object);
    }
    Context context() {
        Context c;
        c.node = &identity;
        return c;
    }
    WallTime wall() { return machine.wall_now(); }
    /// Beats in milliseconds since the beginning of the test.
    std::vector<std::int64_t> beats(Player* of = nullptr) {
        auto all = std::exchange((of ? of : player)->beats_ms, {});
        for (auto& at : all) at -= begin.time_since_epoch() / 1ms;
        return all;
    }
    using Times = std::vector<std::int64_t>;

    log::Capture log{log::Level::warn};
    sim::World world{{.seed = sim::test_seed()}};
    sim::Machine& machine = world.machine("n", "10.0.0.1");
    NodeIdentity identity{.name = "n"};
    Scope scope{machine.executor(), "n", context()};
    world::Host host{machine.executor(), identity, [this] { return machine.random_u64(); },
                     [this] { return machine.wall_now(); }};
    TimePoint begin;
    Player* player = nullptr;
    world::Timers* timers = nullptr;
};

TEST_F(TimersTest, many_share_a_key_and_each_has_an_id) {
    Player& stranger = make();
    std::vector<TimerId> ids;
    for (int i = 0; i < 5; ++i) ids.push_back(timers->after(1s, "buff", [] { FAIL(); }));
    ids.push_back(timers->every<&Player::beat>(1s, "buff"));
    ids.push_back(timers->daily<&Player::beat>({.hour = 4}, "buff"));
    timers->after(10ms, "other", [this] { player->beat(); });
    EXPECT_EQ(timers->pending("buff"), 7u);
    EXPECT_EQ(timers->size(), 8u);
    EXPECT_FALSE(stranger.timers().cancel(ids[0])) << "another's";
    EXPECT_EQ(stranger.timers().cancel("buff"), 0u);
    EXPECT_TRUE(timers->cancel(ids[0]));
    EXPECT_FALSE(timers->cancel(ids[0]));
    EXPECT_FALSE(timers->cancel(TimerId::none));
    EXPECT_FALSE(timers->cancel(TimerId{~0ull}));
    EXPECT_EQ(timers->cancel("buff"), 6u);
    EXPECT_EQ(timers->cancel("buff"), 0u);
    const TimerId again = timers->after(20ms, "buff", [this] { player->beat(); });
    for (const TimerId id : ids) EXPECT_NE(id, again) << "its memory is used again, its id is not";
    EXPECT_FALSE(timers->cancel(ids.back()));
    world.run_for(2s);
    EXPECT_EQ(beats(), (Times{10, 20}));
    EXPECT_EQ(timers->size(), 0u);
    timers->after(1s, "a", [] { FAIL(); });
    timers->after(1s, "b", [] { FAIL(); });
    EXPECT_EQ(timers->cancel_all(), 2u);
}

TEST_F(TimersTest, a_period_with_a_first_delay_and_a_count_does_not_drift) {
    timers->every<&Player::beat>(10ms, "beat", {.first = 3ms, .count = 4});
    world.run_for(1s);
    EXPECT_EQ(beats(), (Times{3, 13, 23, 33}));
    EXPECT_EQ(timers->pending("beat"), 0u);
    const auto at = machine.now() - begin;
    timers->every<&Player::beat>(10ms, "beat", {.first = 0ms});
    world.run_for(25ms);
    EXPECT_EQ(beats(), (Times{at / 1ms, at / 1ms + 10, at / 1ms + 20}));
    timers->every<&Pocket::tick>(Duration::max(), "tick", {.first = -1h});
    timers->every<&Pocket::tick>(1ms, "tick", {.first = Duration::max()});
    world.run_for(1ms);
    EXPECT_EQ(player->get<Pocket>().ticks, 1) << "a method of a component";
    EXPECT_EQ(timers->cancel("tick"), 2u);
}

TEST_F(TimersTest, zero_negative_and_past_run_in_the_next_turn) {
    int ran = 0;
    const auto note = [&] { ++ran; };
    timers->after(0ms, "now", [&, note] {
        note();
        timers->after(0ms, "again", note);  // not within the same turn
        timers->at(wall() - 1h, "again", note);
        timers->at(wall(), "again", note);
        EXPECT_EQ(ran, 1);
    });
    timers->after(-1h, "now", note);
    timers->after(Duration::min(), "now", note);
    timers->at(WallTime::min(), "now", note);
    timers->after<&Player::beat>(0ms, "now");
    EXPECT_EQ(ran, 0) << "never at once";
    machine.executor().turn(machine.now());
    EXPECT_EQ(ran, 4);
    EXPECT_EQ(beats().size(), 1u);
    machine.executor().turn(machine.now());
    EXPECT_EQ(ran, 7);
    timers->after(Duration::max(), "never", [] { FAIL(); });
    timers->at(WallTime::max(), "never", [] { FAIL(); });
    world.run_for(1h);
    EXPECT_EQ(timers->cancel("never"), 2u);
}

TEST_F(TimersTest, what_falls_due_while_the_method_runs_is_left_out) {
    timers->every<&Player::slow>(10ms, "slow", {.count = 3});
    world.run_for(1s);
    EXPECT_EQ(beats(), (Times{10, 40, 70})) << "at 20, 30, 50 and 60 it still ran";
    EXPECT_EQ(player->running_max, 1);
    // Two timers of one method are two.
    timers->every<&Player::slow>(10ms, "slow", {.count = 1});
    timers->every<&Player::slow>(10ms, "slow", {.count = 1});
    world.run_for(1s);
    EXPECT_EQ(player->running_max, 2);
}

TEST_F(TimersTest, a_method_that_fails_is_logged_and_runs_again) {
    timers->every<&Player::fail>(10ms, "broken", {.count = 3});
    world.run_for(1s);
    EXPECT_EQ(beats().size(), 3u);
    EXPECT_TRUE(log.has("world.timer_failed", "broken"));
    timers->every<&Player::lose_link>(10ms, "link");
    world.run_for(25ms);
    EXPECT_TRUE(log.has("world.timer_failed", "somebody else"));
    EXPECT_EQ(beats().size(), 2u);
}

TEST_F(TimersTest, they_may_cancel_themselves_and_each_other_and_end_their_entity) {
    timers->every<&Player::cancel_itself>(10ms, "self");
    timers->every<&Player::cancel_other>(20ms, "first");
    player->other = timers->every<&Player::beat>(20ms, "other");  // due in the same turn
    world.run_for(30ms);
    EXPECT_EQ(beats(), (Times{10, 20}));
    timers->cancel("first");
    for (int i = 0; i < 3; ++i)
        timers->after(5ms, "all", [this] { timers->cancel("all"), player->beat(); });
    world.run_for(10ms);
    EXPECT_EQ(beats(), Times{35});
    Player& leaver = make();
    const EntityId id = leaver.id().value;
    leaver.timers().every<&Player::leave>(1ms, "leave");
    leaver.timers().after(1ms, "after", [] { FAIL() << "its entity has ended"; });
    leaver.timers().daily<&Player::beat>({}, "daily");
    world.run_for(10ms);
    EXPECT_EQ(host.find(id), nullptr);
    EXPECT_EQ(machine.executor().timers(), 0u);
}

TEST_F(TimersTest, a_closure_that_cancels_when_it_is_destroyed) {
    struct Ender {
        world::Timers* timers;
        ~Ender() { timers->cancel("other"), timers->cancel("key"); }
    };
    for (int i = 0; i < 3; ++i)
        timers->after(1s, "key", [held = std::make_shared<Ender>(timers)] { (void)held; });
    timers->after(1s, "other", [] {});
    EXPECT_EQ(timers->cancel("key"), 3u);
    EXPECT_EQ(timers->size(), 0u);
}

TEST_F(TimersTest, a_hundred_thousand_keys_are_cancelled_one_by_one) {
    constexpr int count = 100'000;
    for (int i = 0; i < count; ++i) timers->after(1h, "key " + std::to_string(i), [] { FAIL(); });
    EXPECT_EQ(timers->size(), std::size_t{count});
    for (int i = 0; i < count; ++i)
        ASSERT_EQ(timers->cancel("key " + std::to_string(i * 7919ll % count)), 1u);
    EXPECT_EQ(timers->size(), 0u);
}

TEST_F(TimersTest, a_stall_is_made_up_for_within_bounds) {
    timers->every<&Player::beat>(10ms, "beat");
    machine.freeze(1h + 5ms);
    world.run_for(1h + 6ms);
    EXPECT_LE(beats().size(), 10u);
    world.run_for(5ms);
    EXPECT_EQ(beats().size(), 1u) << "back in step";
    timers->cancel_all();
}

TEST_F(TimersTest, what_cannot_be_armed_is_named) {
    const auto refused = [&](auto arm) {
        try {
            arm();
        } catch (const Error& error) {
            EXPECT_TRUE(error.is(errc::bad_arguments));
            return std::string(error.what());
        }
        return std::string("none");
    };
    EXPECT_NE(refused([&] { timers->every<&Player::beat>(0ms, "k"); }).find("timer k: a period"),
              std::string::npos);
    EXPECT_NE(refused([&] { timers->every<&Player::beat>(-1ms, "k"); }).find("period"),
              std::string::npos);
    EXPECT_NE(refused([&] { timers->daily<&Player::beat>({.hour = 24}, "k"); }).find("hour=24"),
              std::string::npos);
    struct Alien : Entity<Alien> {
        void beat() {}
        static consteval auto describe() { return type<Alien>("Alien", method<&Alien::beat>()); }
    };
    EXPECT_NE(refused([&] { timers->after<&Alien::beat>(1s, "k"); }).find("Player"),
              std::string::npos);
    EXPECT_EQ(timers->size(), 0u);
}

// The simulator's wall clock begins at 2025-01-01 00:00 UTC, a Wednesday.

TEST_F(TimersTest, at_follows_the_wall_clock_when_it_is_set) {
    std::vector<WallTime> ran;
    const auto note = [&] { ran.push_back(wall()); };
    const WallTime noon = std::chrono::floor<std::chrono::days>(wall()) + 12h;
    timers->at(noon, "noon", note);
    timers->at(noon + 1h, "later", note);
    const TimerId cancelled = timers->at(noon + 30min, "cancelled", [] { FAIL(); });
    timers->at<&Player::beat>(noon + 30min, "method");
    world.run_until([&] { return wall() >= noon - 1h; }, 24h);
    EXPECT_TRUE(ran.empty());
    machine.skew_wall_clock(-2h);  // 09:00 again
    world.run_for(2h + 59min + 50s);
    EXPECT_TRUE(ran.empty()) << "never early";
    world.run_for(10s);
    EXPECT_EQ(ran, std::vector{noon});
    timers->cancel(cancelled);
    machine.skew_wall_clock(0h);  // 14:00: the others have passed
    world.run_for(10s);
    EXPECT_EQ(ran.size(), 2u);
    EXPECT_EQ(beats().size(), 1u);
    EXPECT_EQ(timers->size(), 0u);
}

TEST_F(TimersTest, a_day_is_reset_once_whatever_the_clock_does) {
    const TimeOfDay four{.hour = 4};
    timers->daily<&Player::beat>(four, "reset");
    world.run_for(3h + 59min);
    EXPECT_TRUE(beats().empty());
    world.run_for(10min);
    EXPECT_EQ(beats().size(), 1u);
    machine.skew_wall_clock(-1h);  // 03:09 again
    world.run_for(2h);
    EXPECT_TRUE(beats().empty()) << "today is done";
    world.run_for(24h);
    EXPECT_EQ(beats().size(), 1u);
    machine.skew_wall_clock(72h);  // three days passed in a moment
    world.run_for(1min);
    EXPECT_EQ(beats().size(), 1u) << "once, not three times";
    world.run_for(1h);
    EXPECT_TRUE(beats().empty());
    machine.skew_wall_clock(-1h);  // back by three days: the clock was wrong, and is believed again
    world.run_for(24h);
    EXPECT_EQ(beats().size(), 1u);
    EXPECT_EQ(timers->cancel("reset"), 1u);
}

TEST_F(TimersTest, armed_after_todays_time_a_clock_set_back_does_not_run_it) {
    world.run_for(4h + 30min);
    timers->daily<&Player::beat>({.hour = 4}, "reset");
    machine.skew_wall_clock(-1h);
    world.run_for(5h);
    EXPECT_TRUE(beats().empty());
    world.run_for(24h);
    EXPECT_EQ(beats().size(), 1u);
    timers->cancel_all();
}

TEST_F(TimersTest, weeks_begin_on_their_day_across_months) {
    std::vector<WallTime> expected;
    const TimeOfDay five{.hour = 5, .utc_offset = 9h};  // Sunday 20:00 UTC
    for (WallTime at = wall(); expected.size() < 6; expected.push_back(at))
        at = next_weekly(at, Weekday::monday, five);
    timers->weekly<&Player::beat>(Weekday::monday, five, "week");
    const WallTime start = wall();
    world.run_for(expected.back() - start + 1s);
    Times expected_ms;
    for (const WallTime at : expected) expected_ms.push_back((at - start) / 1ms);
    EXPECT_EQ(beats(), expected_ms);
    EXPECT_EQ(timers->cancel("week"), 1u);
}

TEST_F(TimersTest, of_a_scope_they_end_with_it) {
    int ran = 0;
    {
        Scope session(machine.executor(), "session", scope.context());
        (void)after(session, 10ms, [&] { ++ran; });
        (void)after(session, 0ms, [&] { ++ran; });
        (void)after(session, 1h, [] { FAIL(); });
        EXPECT_EQ(ran, 0);
        world.run_for(20ms);
        EXPECT_EQ(ran, 2);
        world.run(machine, session.close());
    }
    world.run_for(2h);
}

TEST_F(TimersTest, the_guide_does_what_it_says) {
    auto& avatar = *static_cast<Avatar*>(host.create(world::table<Avatar>).object);
    world.run_for(1s);
    EXPECT_EQ(avatar.resets, 1) << "the first time: today's";
    avatar.start_timers(wall() + 1h);
    world.run_for(31s);
    EXPECT_EQ(avatar.burns, 10);
    EXPECT_EQ(avatar.saves, 6);
    EXPECT_FALSE(avatar.invited);
    EXPECT_EQ(avatar.stop_timers(TimerId::none), 3);
    world.run_for(24h);
    EXPECT_EQ(avatar.resets, 1);
}

TEST_F(TimersTest, the_free_function_is_that_of_the_running_entity) {
    timers->after(1ms, "outer", [this] {
        EXPECT_EQ(&gyre::timers(), timers);
        gyre::timers().after(1ms, "inner", [this] { player->beat(); });
    });
    world.run_for(10ms);
    EXPECT_EQ(beats(), Times{2});
}

}  // namespace
}  // namespace gyre
