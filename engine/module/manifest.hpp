#pragma once
#include <cstdint>
#include <gyre/base/code.hpp>
#include <gyre/world/entity.hpp>

namespace gyre::module {

/// Raised when a module built before cannot be loaded any more.
inline constexpr std::uint32_t api_version = 2;

/// What a module exports: constants only; nothing of it runs when it is loaded.
/// api and name stay the first two, whatever the version.
struct Manifest {
    std::uint32_t api;
    const char* name;
    const world::TypeTable* const* types;
    std::size_t type_count;
    const CodeUses* uses = nullptr;  ///< Of the library it is in.
};

template <class... T>
inline constexpr const world::TypeTable* type_list[] = {&world::table<T>...};

}  // namespace gyre::module

/// Once in a module: its name, then the entities and services it brings.
/// GYRE_MODULE("arena", Avatar, Match)
#define GYRE_MODULE(NAME, ...)                                                               \
    extern "C" __attribute__((visibility("default"))) const gyre::module::Manifest gyre_module; \
    const gyre::module::Manifest gyre_module{gyre::module::api_version, NAME,                \
                                             gyre::module::type_list<__VA_ARGS__>,           \
                                             std::size(gyre::module::type_list<__VA_ARGS__>), \
                                             &gyre::detail::code_uses};
