#pragma once
#include <gyre/rpc/remote.hpp>
#include <gyre/world/host.hpp>
#include <tuple>

namespace gyre {

namespace world::detail {
/// What entities, components and services share: a way to their record.
class Attached {
public:
    void gyre_attach(world::Record& record) { gyre_record_ = &record; }

protected:
    Timers& timers() const { return gyre_record_->timers; }
    Ticks& ticks() const { return gyre_record_->ticks; }
    Scope& scope() const { return gyre_record_->scope; }
    Record& gyre_record() const { return *gyre_record_; }
    Record* gyre_record_ = nullptr;
};
}  // namespace world::detail

/// Base of a component: plain state and methods of an entity. No virtual functions.
template <class Self>
class Component : public world::detail::Attached {
public:
    static constexpr auto gyre_kind = world::TypeKind::component;
    using gyre_base = Component;
    EntityId entity_id() const { return this->gyre_record_->id; }

protected:
    /// A sibling component, or the entity itself.
    template <class C>
    C& get() const {
        auto& record = *this->gyre_record_;
        if (record.type.name == description<C>.name) return *static_cast<C*>(record.object);
        for (const auto& entry : record.type.components)
            if (entry.type->name == description<C>.name)
                return *static_cast<C*>(entry.access(record.object));
        throw Error("no_such_component", std::string(description<C>.name));
    }
};

/// An entity: state and methods of its own, and a fixed list of components.
template <class Self, class... Cs>
class Entity : public world::detail::Attached {
public:
    static constexpr auto gyre_kind = world::TypeKind::entity;
    using gyre_base = Entity;
    template <class C>
    static constexpr bool has_component = (std::is_same_v<C, Cs> || ...);
    static constexpr bool any_component_stored = (world::detail::has_stored_fields<Cs>() || ...);
    Id<Self> id() const { return {this->gyre_record_->id}; }
    template <class C>
        requires has_component<C>
    C& get() {
        return std::get<C>(components_);
    }
    void gyre_attach(world::Record& record) {
        Attached::gyre_attach(record);
        (std::get<Cs>(components_).gyre_attach(record), ...);
    }
    static consteval std::span<const world::ComponentEntry> component_entries() {
        return std::span<const world::ComponentEntry>(entries<Self>, sizeof...(Cs));
    }

private:
    template <class S>
    static constexpr world::ComponentEntry entries[sizeof...(Cs) + 1] = {
        {&world::table<Cs>,
         [](void* entity) -> void* { return &static_cast<S*>(entity)->template get<Cs>(); }}...};
    std::tuple<Cs...> components_;
};

/// One object a node of a role, called by address: `static constexpr std::string_view role`.
template <class Self>
class Service : public world::detail::Attached {
public:
    static constexpr auto gyre_kind = world::TypeKind::service;
    using gyre_base = Service;
};

/// Makes an entity on this node; `init` sets it up before on_start.
template <class E>
Id<E> create(std::function<void(E&)> init = {}, EntityId id = 0) {
    GYRE_ASSERT(current && current->node && current->node->host, "create() runs in a task of a node");
    std::function<void(void*)> erased;
    if (init) erased = [&init](void* object) { init(*static_cast<E*>(object)); };
    const auto* type = current->node->host->find_type(description<E>.name);
    if (!type) throw Error(errc::not_found, "no module here has type " + std::string(description<E>.name));
    return {current->node->host->create(*type, id, erased).id};
}

/// The entity if it lives on this node, else null. Do not keep it across an await.
template <class E>
E* find_local(Id<E> id) {
    auto* record = current->node->host->find(id.value);
    if (!record || record->stopping || record->type.name != description<E>.name) return nullptr;
    record->mark();
    return static_cast<E*>(record->object);
}

/// Ends an entity of this node, also from inside of it: in a task of the node.
template <class E>
void retire(Id<E> id) {
    current->node->host->retire(id.value);
}

/// Lives as long as the node: for tasks that outlive their entity.
inline Scope& node_scope() { return *current->node->scope; }
/// Of the entity or service whose task runs now.
inline world::Timers& timers() {
    GYRE_ASSERT(current && current->object, "timers() runs in a task of an entity or service");
    return static_cast<world::Record*>(current->object)->timers;
}
inline TimePoint now() { return current->executor->now(); }

}  // namespace gyre
