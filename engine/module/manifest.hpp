#pragma once
#include <cstdint>
#include <array>
#include <gyre/base/code.hpp>
#include <gyre/config/schema.hpp>
#include <gyre/world/entity.hpp>

namespace gyre::module {

/// Raised when a module built before cannot be loaded any more.
inline constexpr std::uint32_t api_version = 3;

/// What a module exports: constants only; nothing of it runs when it is loaded.
/// api and name stay the first two, whatever the version.
struct Manifest {
    std::uint32_t api;
    const char* name;
    const world::TypeTable* const* types;
    std::size_t type_count;
    const CodeUses* uses = nullptr;  ///< Of the library it is in.
    const config::Section* const* sections = nullptr;  ///< Of gyre.json.
    std::size_t section_count = 0;
};

namespace detail {
template <class... T>
consteval auto list_types() {
    std::array<const world::TypeTable*, (std::size_t{0} + ... + !config::HasSection<T>)> list{};
    std::size_t at = 0;
    const auto add = [&]<class X>(std::type_identity<X>) {
        if constexpr (!config::HasSection<X>) list[at++] = &world::table<X>;
    };
    (add(std::type_identity<T>{}), ...);
    return list;
}
template <class... T>
consteval auto list_sections() {
    std::array<const config::Section*, (std::size_t{0} + ... + config::HasSection<T>)> list{};
    std::size_t at = 0;
    const auto add = [&]<class X>(std::type_identity<X>) {
        if constexpr (config::HasSection<X>) list[at++] = &config::section<X>;
    };
    (add(std::type_identity<T>{}), ...);
    return list;
}
}  // namespace detail

template <class... T>
inline constexpr auto type_list = detail::list_types<T...>();
template <class... T>
inline constexpr auto section_list = detail::list_sections<T...>();

}  // namespace gyre::module

/// Once in a module: its name, then the entities and services it brings and its sections of gyre.json.
/// GYRE_MODULE("arena", Avatar, Match, MatchRules)
#define GYRE_MODULE(NAME, ...)                                                                  \
    extern "C" __attribute__((visibility("default"))) const gyre::module::Manifest gyre_module; \
    const gyre::module::Manifest gyre_module{gyre::module::api_version,                         \
                                             NAME,                                              \
                                             gyre::module::type_list<__VA_ARGS__>.data(),       \
                                             gyre::module::type_list<__VA_ARGS__>.size(),       \
                                             &gyre::detail::code_uses,                          \
                                             gyre::module::section_list<__VA_ARGS__>.data(),    \
                                             gyre::module::section_list<__VA_ARGS__>.size()};
