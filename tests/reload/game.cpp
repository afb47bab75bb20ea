// The game of generations_test.cpp. Its generation is four digits in its constant data, where the test writes
// another number: so many builds need no compiler.
#include <gyre/log/log.hpp>
#include <gyre/module/manifest.hpp>
#include <gyre/world/rows.hpp>

namespace {

using gyre::Task;

/// "generation-0000"
__attribute__((used)) constexpr char generation_text[] = "generation-0000";
std::string generation() {
    const char* volatile text = generation_text;  // what the file says, not what the compiler saw
    return std::string(text).substr(11);
}

/// Known to this module alone.
struct Private {
    std::string why = "of generation " + generation();
};
struct PrivateException : std::exception {
    std::string text = "private of generation " + generation();
    const char* what() const noexcept override { return text.c_str(); }
};

struct Spot {
    std::int32_t steps = 0;
    static consteval auto describe() { return gyre::type<Spot>("Spot", gyre::field<&Spot::steps>()); }
};

struct Walker : gyre::Entity<Walker> {
    std::string seen;   ///< Generations that did something, in order, each once in a row.
    std::int32_t beats = 0;
    gyre::Rows<Spot> spots;
#if LAYOUT == 2
    std::vector<std::int32_t> added{1, 2, 3};
#endif

    void note() {
        if (seen.size() < 4 || seen.substr(seen.size() - 4) != generation()) seen += (seen.empty() ? "" : " ") + generation();
    }
    Task<> on_start() {
        spots.spawn(Spot{});
        timers().every<&Walker::beat>(std::chrono::milliseconds(10), "beat");
        on_after_reload();
        co_return;
    }
    void on_after_reload() {
        spots.system<Spot>("step", gyre::ecs::Phase::simulate, [](Spot& spot) { ++spot.steps; });
        ticks().add(spots, gyre::TickRate{100}, "spots");
    }
    void beat() { ++beats, note(); }
    Task<> run() {
        for (;;) {
            note();
            co_await gyre::sleep(std::chrono::milliseconds(7));
        }
    }
    std::string version() { return generation(); }
    std::string history() { return seen; }
    std::int32_t steps() {
        std::int32_t most = 0;
        spots.each<const Spot>([&](const Spot& spot) { most = std::max(most, spot.steps); });
        return most;
    }
    /// Begins and ends in one build, whatever runs meanwhile.
    Task<std::string> slow(std::int32_t seconds) {
        const std::string began = generation();
        co_await gyre::sleep(std::chrono::seconds(seconds));
        co_return began + "-" + generation();
    }
    /// A call that is answered after a swap, from code that is old by then.
    Task<std::string> ask(gyre::EntityId other, std::int32_t seconds) {
        const std::string answer = co_await gyre::remote(gyre::Id<Walker>{other}).within(std::chrono::minutes(1)).call<&Walker::slow>(seconds);
        co_return generation() + " heard " + answer;
    }
    void later() {
        timers().after(std::chrono::seconds(5), "later", [this, began = generation()] { seen += " later-" + began; });
    }
    void fail() { throw Private(); }
    Task<> fail_late() {
        co_await gyre::sleep(std::chrono::milliseconds(50));
        throw PrivateException();
    }
    Task<> rethrow() { throw gyre::Error("own_error", "of generation " + generation()); co_return; }
    void drop_failing() { (void)gyre::go(scope(), fail_late()); }
    void log_a_line() { gyre::log::warn("test.line", {{"generation", generation()}}); }

    static consteval auto describe() {
        return gyre::type<Walker>("Walker", gyre::field<&Walker::seen>(), gyre::field<&Walker::beats>(),
                                  gyre::field<&Walker::spots>(),
#if LAYOUT == 2
                                  gyre::field<&Walker::added>(),
#endif
                                  gyre::method<&Walker::beat>(), gyre::method<&Walker::version>(),
                                  gyre::method<&Walker::history>(), gyre::method<&Walker::steps>(),
                                  gyre::method<&Walker::slow>(), gyre::method<&Walker::ask>(),
                                  gyre::method<&Walker::later>(), gyre::method<&Walker::fail>(),
                                  gyre::method<&Walker::fail_late>(), gyre::method<&Walker::rethrow>(),
                                  gyre::method<&Walker::drop_failing>(), gyre::method<&Walker::log_a_line>(),
                                  gyre::resident<&Walker::run>());
    }
};

}  // namespace

GYRE_MODULE("game", Walker)
