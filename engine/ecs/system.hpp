#pragma once
#include <gyre/base/code.hpp>
#include <gyre/ecs/query.hpp>

#include <functional>
#include <string>
#include <vector>

namespace gyre::ecs {
class World;

/// The parts of a tick, in order. Commands are applied at the end of each.
enum class Phase : std::uint8_t { input, simulate, resolve, publish };
inline constexpr std::size_t phase_count = 4;

template <Component... Cs>
struct Reads {};
template <Component... Cs>
struct Writes {};
template <Component... Cs>
inline constexpr Reads<Cs...> reads{};
template <Component... Cs>
inline constexpr Writes<Cs...> writes{};

/// A function run each tick, with what it may touch: any other access through the world asserts.
/// Write access includes read access. Commands need no declaration.
struct System {
    using Run = std::function<void(World&, float dt_s)>;

    template <class... Rs, class... Ws>
    System(std::string system_name, Phase system_phase, Reads<Rs...>, Writes<Ws...>, Run function)
        : name(std::move(system_name)),
          phase(system_phase),
          read_ids{component_id<Rs>...},
          write_ids{component_id<Ws>...},
          run(std::move(function)) {}

    std::string name;
    Phase phase;
    std::vector<ComponentId> read_ids, write_ids;
    Run run;
    CodePin pin;  ///< Of the library that made the system.
    std::uint64_t took_ns = 0;  ///< In the last tick; 0 unless the world measures.
};

}  // namespace gyre::ecs
