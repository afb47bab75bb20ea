#pragma once
#include <array>
#include <gyre/rpc/methods.hpp>
#include <memory>
#include <new>

namespace gyre::world {

struct Record;
struct TypeTable;

struct ComponentEntry {
    const TypeTable* type;
    void* (*access)(void* entity);
    /// In the entity, bytes.
    std::size_t offset() const {
        void* const somewhere = reinterpret_cast<void*>(std::uintptr_t{1} << 20);  // never looked at
        return static_cast<std::size_t>(static_cast<char*>(access(somewhere)) - static_cast<char*>(somewhere));
    }
};

/// A coroutine as long-lived as its entity.
struct ResidentEntry {
    std::string_view name;
    Task<> (*run)(void* object);
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
    std::size_t base_size;  ///< What begins it and is the engine's: for an entity with its components.
    void (*construct)(void* memory);
    void (*destroy)(void* object) noexcept;
    void (*attach)(void* object, Record& record);
    std::span<const FieldEntry> fields;
    std::span<const rpc::MethodEntry> methods;
    std::span<const ComponentEntry> components;
    Task<> (*on_start)(void* object);  ///< Null: it has none.
    Task<> (*on_stop)(void* object);
    std::uint64_t (*layout_hash)();  ///< Of its own fields; components have theirs.
    std::span<const ResidentEntry> residents;
    void (*before_reload)(void* object);  ///< Null: it has none.
    void (*after_reload)(void* object);
    void (*config_changed)(void* object);
    Migrate migrate;
    /// Leaves alone what no member is in and what no initializer names: for checks.
    void (*construct_members)(void* memory);
};

namespace detail {

// Does T name a member `hook`, whatever its access and signature? (Ambiguity of two bases.)
#define GYRE_HOOK(hook, Result, as_written)                                                \
    struct Names_##hook {                                                                  \
        int hook;                                                                          \
    };                                                                                     \
    template <class T>                                                                     \
    struct Probe_##hook : T, Names_##hook {};                                              \
    template <class T>                                                                     \
    consteval Result (*find_##hook())(void*) {                                             \
        if constexpr (!requires { &Probe_##hook<T>::hook; }) {                             \
            constexpr bool fits = requires(T & t) {                                        \
                { t.hook() } -> std::same_as<Result>;                                      \
            };                                                                             \
            static_assert(fits, "gyre: " #hook " must be a public `" as_written "`");      \
            if constexpr (fits) return [](void* o) { return static_cast<T*>(o)->hook(); }; \
        }                                                                                  \
        return nullptr;                                                                    \
    }
GYRE_HOOK(on_start, Task<>, "gyre::Task<> on_start()")
GYRE_HOOK(on_stop, Task<>, "gyre::Task<> on_stop()")
GYRE_HOOK(on_before_reload, void, "void on_before_reload()")
GYRE_HOOK(on_after_reload, void, "void on_after_reload()")
GYRE_HOOK(on_config_changed, void, "void on_config_changed()")
#undef GYRE_HOOK

template <class T>
consteval auto make_residents() {
    std::array<ResidentEntry, std::remove_cvref_t<decltype(description<T>)>::resident_count> out{};
    std::size_t i = 0;
    description<T>.each_resident([&](const auto& r) {
        constexpr auto run = std::remove_cvref_t<decltype(r)>::pointer;
        out[i++] = {r.name, [](void* o) { return (static_cast<T*>(o)->*run)(); }};
    });
    return out;
}
template <class T>
inline constexpr auto residents_of = make_residents<T>();

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
            sizeof(typename T::gyre_base),
            [](void* memory) { new (memory) T(); },
            [](void* object) noexcept { static_cast<T*>(object)->~T(); },
            [](void* object, Record& record) { static_cast<T*>(object)->gyre_attach(record); },
            fields_of<T>(),
            rpc::methods_of<T>(),
            components_of<T>(),
            find_on_start<T>(),
            find_on_stop<T>(),
            &layout_hash<T>,
            residents_of<T>,
            find_on_before_reload<T>(),
            find_on_after_reload<T>(),
            find_on_config_changed<T>(),
            gyre::detail::migration_of<T>(),
            [](void* memory) { new (memory) T; }};
}
}  // namespace detail

template <class T>
inline constexpr TypeTable table = detail::make_table<T>();

}  // namespace gyre::world
