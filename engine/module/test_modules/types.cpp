// One type, with a fault or a change that the macro FAULT_... names.
#include <csignal>
#include <gyre/module/manifest.hpp>

namespace {
struct Lamp : gyre::Component<Lamp> {
#if defined(FAULT_CHANGED)
    std::string colour = "white";
    std::string light;  // was a number
#else
    std::uint32_t light = 7;
#endif
#if defined(FAULT_HIDDEN)
    bool broken = true;  // in what else is padding
#elif defined(FAULT_HIDDEN_ZERO)
    bool broken = false;
#endif
    std::uint64_t hours = 0;
#if defined(FAULT_UNDESCRIBED)
    std::uint64_t forgotten = 0;
#endif
#if defined(FAULT_COLLISION)
    std::uint64_t more = 0;
#endif
#if defined(FAULT_THROWS)
    Lamp() { throw gyre::Error(gyre::errc::unavailable, "the lamp is not plugged in"); }
#elif defined(FAULT_CRASHES)
    Lamp() { std::raise(SIGSEGV); }
#elif defined(FAULT_HANGS)
    Lamp() {
        for (volatile bool on = true; on;) {}
    }
#endif
    static consteval auto describe() {
        return gyre::type<Lamp>("Lamp",
#if defined(FAULT_CHANGED)
                                gyre::field<&Lamp::colour>(gyre::persist),
#endif
                                gyre::field<&Lamp::light>(gyre::persist),
#if defined(FAULT_COLLISION)
                                gyre::field<&Lamp::more>(gyre::persist),
#endif
                                gyre::field<&Lamp::hours>(gyre::persist));
    }
};
}  // namespace

#if defined(FAULT_CLAIMS) || defined(FAULT_COLLISION)
namespace gyre::world {
/// A hash of its own choice.
template <>
inline constexpr TypeTable table<Lamp> = [] {
    TypeTable type = detail::make_table<Lamp>();
    type.layout_hash = [] { return std::uint64_t{42}; };
    return type;
}();
}  // namespace gyre::world
#endif

namespace {
struct Street : gyre::Entity<Street, Lamp> {
    int number() { return 7; }
    static consteval auto describe() { return gyre::type<Street>("Street", gyre::method<&Street::number>()); }
};
}  // namespace

GYRE_MODULE("types", Street)
