#pragma once
#include <gyre/rpc/methods.hpp>
#include <memory>
#include <new>

namespace gyre::world {

struct Record;
struct TypeTable;

struct ComponentEntry {
    const TypeTable* type;
    void* (*access)(void* entity);
};

enum class TypeKind : std::uint8_t { component, entity, service };

/// Everything the engine knows of a described type, without the type: constants and functions of
/// the module that has its code.
struct TypeTable {
    std::string_view name;
    TypeKind kind;
    std::string_view role;  ///< Of the nodes that host it; empty: any.
    bool stored;            ///< An entity with persist fields of its own or in a component.
    std::size_t size, align;
    void (*construct)(void* memory);
    void (*destroy)(void* object) noexcept;
    void (*attach)(void* object, Record& record);
    std::span<const FieldEntry> fields;
    std::span<const rpc::MethodEntry> methods;
    std::span<const ComponentEntry> components;
    Task<> (*on_start)(void* object);  ///< Null: it has none.
    Task<> (*on_stop)(void* object);
    std::uint64_t (*layout_hash)();
};

namespace detail {

// Does T name a member `hook`, whatever its access and signature? (Ambiguity of two bases.)
#define GYRE_HOOK(hook)                                                                    \
    struct Names_##hook {                                                                  \
        int hook;                                                                          \
    };                                                                                     \
    template <class T>                                                                     \
    struct Probe_##hook : T, Names_##hook {};                                              \
    template <class T>                                                                     \
    consteval Task<> (*find_##hook())(void*) {                                             \
        if constexpr (!requires { &Probe_##hook<T>::hook; }) {                             \
            constexpr bool fits = requires(T & t) {                                        \
                { t.hook() } -> std::same_as<Task<>>;                                      \
            };                                                                             \
            static_assert(fits, "gyre: " #hook " must be a public `gyre::Task<> " #hook "()`"); \
            if constexpr (fits) return [](void* o) { return static_cast<T*>(o)->hook(); }; \
        }                                                                                  \
        return nullptr;                                                                    \
    }
GYRE_HOOK(on_start)
GYRE_HOOK(on_stop)
#undef GYRE_HOOK

template <class T>
consteval std::string_view role_of() {
    if constexpr (requires { std::string_view(T::role); }) return T::role;
    return {};
}
template <class T>
consteval bool has_stored_fields() {
    bool stored = false;
    description<T>.each_field([&](const auto& f) { stored |= has_any(f.flags, Flags::persist); });
    return stored;
}
template <class T>
consteval bool is_stored() {
    bool stored = has_stored_fields<T>();
    if constexpr (requires { T::any_component_stored; }) stored |= T::any_component_stored;
    return stored;
}
template <class T>
consteval std::span<const ComponentEntry> components_of() {
    if constexpr (requires { T::component_entries(); }) return T::component_entries();
    return {};
}
template <class T>
consteval TypeTable make_table() {
    static_assert(!std::is_polymorphic_v<T>,
                  "gyre: no virtual functions: its memory outlives the code that made it");
    return {description<T>.name,
            T::gyre_kind,
            role_of<T>(),
            is_stored<T>(),
            sizeof(T),
            alignof(T),
            [](void* memory) { new (memory) T(); },
            [](void* object) noexcept { static_cast<T*>(object)->~T(); },
            [](void* object, Record& record) { static_cast<T*>(object)->gyre_attach(record); },
            fields_of<T>(),
            rpc::methods_of<T>(),
            components_of<T>(),
            find_on_start<T>(),
            find_on_stop<T>(),
            [] { return layout_hash<T>(); }};
}
}  // namespace detail

template <class T>
inline constexpr TypeTable table = detail::make_table<T>();

}  // namespace gyre::world
