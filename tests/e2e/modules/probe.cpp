// A service that counts and answers, and an entity that is stored. What the variants do is said where it is done.
#include <gyre/module/gyre.hpp>

#include <cstdlib>
#include <vector>

namespace probe {

struct Order {
    std::string item;
    std::uint32_t shelf = 0;
    std::string voucher;
    static consteval auto describe() {
        return gyre::type<Order>("Order", gyre::field<&Order::item>(), gyre::field<&Order::shelf>(), gyre::field<&Order::voucher>(gyre::secret));
    }
};
[[gnu::noinline]] inline int price_on(const std::vector<int>& shelves, std::uint32_t shelf) {
    return shelves.at(shelf);  // nobody looked whether there is one
}
inline gyre::Task<int> price_of(Order order) {
    co_await gyre::sleep(std::chrono::milliseconds(1));
    const std::vector<int> shelves{3, 5, 8};
    co_return price_on(shelves, order.shelf);
}

struct Note : gyre::Entity<Note> {
    std::string text;
#ifdef PROBE_LAYOUT
    std::int64_t edits = 7;  // a field more: objects are carried over
#endif
    gyre::Task<> write(std::string words) {
        text = std::move(words);
        co_await gyre::save_now();
    }
    std::string read() { return text; }
    static constexpr std::string_view role = "probe";
    static consteval auto describe() {
        return gyre::type<Note>("Note", gyre::field<&Note::text>(gyre::persist),
#ifdef PROBE_LAYOUT
                                gyre::field<&Note::edits>(gyre::persist),
#endif
                                gyre::method<&Note::write>(), gyre::method<&Note::read>());
    }
};

struct Probe : gyre::Service<Probe> {
    static constexpr std::string_view role = "probe";
    std::uint64_t beats = 0;
#ifdef PROBE_LAYOUT
    std::string mood = "new";
#endif

    gyre::Task<> on_start() {
        timers().every<&Probe::beat>(std::chrono::milliseconds(50), "beat");
        co_return;
    }
#ifdef PROBE_THROWING
    void on_after_reload() { throw gyre::Error("not_today", "this build does not like to be loaded"); }
#endif
    void beat() {
        ++beats;
#ifdef PROBE_CRASH
        std::abort();
#endif
#ifdef PROBE_LOOP
        for (volatile bool forever = true; forever;) {}
#endif
    }
    std::string rule() {
#if defined PROBE_BETTER
        return "better";
#elif defined PROBE_LAYOUT
        return "layout " + mood + " " + std::to_string(beats > 0);
#else
        return "good";
#endif
    }
    /// Fails in the variant that is to be taken back by its figures.
    void work() {
        gyre::log::info("probe.works");
#ifdef PROBE_FAILING
        throw gyre::Error("not_today", "it never works");
#endif
    }
    gyre::Task<std::string> wait(double seconds) {
        co_await gyre::sleep(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
        co_return "waited";
    }
    gyre::Task<int> buy(Order order, std::uint32_t count) {
        const int price = co_await price_of(std::move(order));
        co_return price * static_cast<int>(count);
    }
    gyre::Task<> note(std::uint64_t id) {
        auto& here = gyre::this_node();
        co_await here.persist.load_or_create(id, *here.host.find_type("Note"), [](void*) {});
    }
    static consteval auto describe() {
        return gyre::type<Probe>("Probe", gyre::field<&Probe::beats>(),
#ifdef PROBE_LAYOUT
                                 gyre::field<&Probe::mood>(),
#endif
                                 gyre::method<&Probe::beat>(), gyre::method<&Probe::rule>(), gyre::method<&Probe::work>(),
                                 gyre::method<&Probe::wait>(), gyre::method<&Probe::note>(), gyre::method<&Probe::buy>());
    }
};

#ifdef PROBE_WORSE
void not_defined_anywhere();
struct Worse : gyre::Service<Worse> {
    static constexpr std::string_view role = "probe";
    void call() { not_defined_anywhere(); }
    static consteval auto describe() { return gyre::type<Worse>("Worse", gyre::method<&Worse::call>()); }
};
#endif
#ifdef PROBE_INITIALIZER
struct Loud {
    Loud() { throw 7; }
} loud;
#endif

}  // namespace probe

#ifdef PROBE_WORSE
GYRE_MODULE("probe", probe::Probe, probe::Note, probe::Worse)
#else
GYRE_MODULE("probe", probe::Probe, probe::Note)
#endif
