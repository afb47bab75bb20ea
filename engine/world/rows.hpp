#pragma once
#include <gyre/codec/fields.hpp>
#include <gyre/ecs/world.hpp>

namespace gyre {

/// [index, generation]
template <>
struct Codec<ecs::Row> {
    static constexpr std::size_t max_bytes = 11;
    static std::uint8_t* put(std::uint8_t* to, ecs::Row row) {
        return Writer::put_integer(Writer::put_integer(Writer::put_array(to, 2), row.index),
                                   row.generation);
    }
    static void encode(Writer& w, ecs::Row row) { w.written(put(w.room(max_bytes), row)); }
    static bool decode(Reader& r, ecs::Row& row) {
        return r.exact_array(2) && r.integer(row.index) && r.integer(row.generation);
    }
};

namespace world::detail {
/// How the values of one component are made and carried.
struct RowsComponent {
    ecs::ComponentId id;
    std::string_view name;
    std::size_t size;  ///< 0: a tag.
    void (*construct)(void* at);
    void (*encode)(const void* value, Writer&);
    bool (*decode)(void* value, Reader&);
};
template <class C>
inline constexpr RowsComponent rows_component{
    ecs::component_id<C>,
    ecs::component_name<C>(),
    std::is_empty_v<C> ? 0 : sizeof(C),
    [](void* at) { new (at) C{}; },
    [](const void* value, Writer& w) { Codec<C>::encode(w, *static_cast<const C*>(value)); },
    [](void* value, Reader& r) { return Codec<C>::decode(r, *static_cast<C*>(value)); }};

void encode_rows(Writer& writer, ecs::World& rows, std::span<const RowsComponent> components);
bool decode_rows(Reader& reader, ecs::World& rows, std::span<const RowsComponent> components);
}  // namespace world::detail

/// An ecs world as a member of a described type: `Rows<Position, Velocity> field_;`. Cs are all the
/// components its rows may have, each a described type; another one asserts.
///
/// Its rows outlive the code: where the layout stays they stay in place, else they are encoded by
/// name and read by the new code. A Row names the same row, iteration has the same order and
/// state_hash() the same value. Systems and hooks are code and end with it: their owner adds them
/// again in on_after_reload(), with the function that added them at the start.
template <class... Cs>
class Rows : public ecs::World {
public:
    Rows() {
        (register_component<Cs>(), ...);
        seal();
    }
    /// Called in the new code when the layout is the same: nothing of the old code is left.
    void gyre_adopt() {
        if (!commands().empty()) flush();  // in the old code, which made them
        remove_systems();
        remove_hooks();
        (register_component<Cs>(), ...);
    }
};

/// [names, version, ticks, generations, unused, kinds, values]; see world::detail::encode_rows.
/// Commands that wait are applied before. Reading drops components that are no longer among Cs.
template <class... Cs>
struct Codec<Rows<Cs...>> {
    static void encode(Writer& w, const Rows<Cs...>& rows) {
        // Applying what was said before is no change of what the world is.
        world::detail::encode_rows(w, const_cast<Rows<Cs...>&>(rows), components);
    }
    static bool decode(Reader& r, Rows<Cs...>& rows) {
        return world::detail::decode_rows(r, rows, components);
    }

private:
    static consteval std::array<world::detail::RowsComponent, sizeof...(Cs)> checked() {
        static_assert(((Described<Cs> && ecs::Component<Cs>) && ...),
                      "gyre: a component of Rows<...> needs a describe()");
        static_assert(ecs::detail::all_distinct<Cs...>(), "gyre: Rows<...> names a component twice");
        return {world::detail::rows_component<Cs>...};
    }
    static constexpr auto components = checked();
};

}  // namespace gyre
