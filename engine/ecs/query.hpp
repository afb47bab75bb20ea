#pragma once
#include <gyre/ecs/component.hpp>
#include <gyre/ecs/detail/archetype.hpp>

#include <span>

namespace gyre::ecs {

/// Terms of a query. `C` is written, `const C` is read, With and Without only select rows.
template <Component T>
struct With {};
template <Component T>
struct Without {};

namespace detail {

enum class TermKind : std::uint8_t { fetch, with, without };

template <class T>
struct Term {
    using Type = std::remove_const_t<T>;
    static constexpr TermKind kind = TermKind::fetch;
    static constexpr bool read_only = std::is_const_v<T>;
};
template <class T>
struct Term<With<T>> {
    using Type = T;
    static constexpr TermKind kind = TermKind::with;
    static constexpr bool read_only = true;
};
template <class T>
struct Term<Without<T>> {
    using Type = T;
    static constexpr TermKind kind = TermKind::without;
    static constexpr bool read_only = true;
};

template <class... Ts>
struct Types {};
template <class A, class B>
struct Join;
template <class... As, class... Bs>
struct Join<Types<As...>, Types<Bs...>> {
    using type = Types<As..., Bs...>;
};
template <class... Ts>
struct FetchedOf {
    using type = Types<>;
};
template <class T, class... Ts>
struct FetchedOf<T, Ts...>
    : Join<std::conditional_t<Term<T>::kind == TermKind::fetch, Types<T>, Types<>>,
           typename FetchedOf<Ts...>::type> {};
template <class... Ts>
using Fetched = typename FetchedOf<Ts...>::type;

template <class... Terms>
constexpr std::uint64_t query_key() {
    std::uint64_t key = sizeof...(Terms) + 1;
    ((key =
          mix(key ^ (component_id<typename Term<Terms>::Type> + std::uint64_t(Term<Terms>::kind)))),
     ...);
    return key;
}

template <class... Cs>
constexpr bool all_distinct() {
    constexpr std::size_t count = sizeof...(Cs);
    const ComponentId ids[count + 1] = {component_id<Cs>..., 0};
    for (std::size_t i = 0; i < count; ++i)
        for (std::size_t j = i + 1; j < count; ++j)
            if (ids[i] == ids[j]) return false;
    return true;
}

struct TermInfo {
    TermKind kind;
    ComponentId id;
};

/// A query's matches in the order the archetypes were made, kept up to date as new ones come.
struct Query {
    std::vector<TermInfo> terms;
    std::vector<Archetype*> matches;
    std::vector<std::uint32_t> columns;  ///< For each match one a fetched term.
    std::size_t fetched = 0;

    void offer(Archetype& archetype);
};

/// An archetype and its columns in the order a caller names the components.
struct Bundle {
    static constexpr std::size_t max_components = 16;
    Archetype* archetype = nullptr;
    std::uint32_t columns[max_components] = {};
};

}  // namespace detail
}  // namespace gyre::ecs
