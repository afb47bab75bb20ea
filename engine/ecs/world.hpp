#pragma once
#include <gyre/base/assert.hpp>
#include <gyre/ecs/commands.hpp>
#include <gyre/ecs/detail/slots.hpp>
#include <gyre/ecs/image.hpp>
#include <gyre/ecs/query.hpp>
#include <gyre/ecs/system.hpp>

namespace gyre::ecs {

/// Rows of components, and the systems that run over them. One thread.
///
/// Rows with the same components lie packed together. Every order (iteration, systems, commands,
/// hooks) is a function of the operations made, never of addresses or hash seeds.
/// References to components end with the next change of rows (spawn, destroy, add, remove).
/// Changing rows inside each() asserts: use commands().
class World {
public:
    World() : commands_(*this) {}
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    // ---- rows
    template <Component... Cs>
    Row spawn(Cs... components) {
        assert_not_iterating();
        const Row row = slots_.take();
        place(row, std::move(components)...);
        return row;
    }
    /// Many default-constructed rows, initialize(Row, Cs&...) or initialize(Cs&...) on each. It
    /// must not throw.
    template <Component... Cs, class F>
    void spawn_many(std::uint32_t count, F&& initialize);

    bool destroy(Row row) {  ///< False when it is gone already.
        assert_not_iterating();
        detail::Slots::Slot* const slot = slots_.find(row);
        if (!slot) return false;
        detail::Archetype& archetype = *archetypes_[slot->archetype];
        const std::uint32_t at = slot->row;
        if (!archetype.silent()) [[unlikely]]
            end_values(archetype, at);
        slots_.give(row.index, *slot);
        --alive_count_;
        leave_hole(archetype, at);
        return true;
    }
    /// Many in any order, several times as fast as one by one. Returns how many were alive.
    std::size_t destroy(std::span<const Row> rows);
    bool alive(Row row) const noexcept { return slots_.find(row) != nullptr; }
    std::size_t size() const noexcept { return alive_count_; }
    /// Packs the rows of components that were destroyed or moved out of the middle. tick() and
    /// flush() do; only who destroys much and loops between two ticks gains by calling it.
    void settle();

    // ---- components of one row
    /// Adds, or replaces the value the row has.
    template <Component C>
    C& add(Row row, C value = {});
    template <Component C>
    bool remove(Row row);  ///< False when it has none.
    template <Component C>
    bool has(Row row) const noexcept {
        return alive(row) && archetype_of(row).find(component_id<C>) != detail::IdMap::none;
    }
    /// get<C> is write access and marks the row changed; get<const C> is read access.
    template <class C>
    C& get(Row row) {
        C* value = find<C>(row);
        GYRE_ASSERT(value, "ecs: get() of a component the row does not have, or of a dead row");
        return *value;
    }
    template <class C>
    const C& get(Row row) const {
        return const_cast<World*>(this)->get<const C>(row);
    }
    template <class C>
    C* find(Row row);
    template <class C>
    const C* find(Row row) const {
        return const_cast<World*>(this)->find<const C>(row);
    }
    /// Marks a component changed, for one who wrote it through a reference kept.
    template <Component C>
    void touch(Row row) {
        static_cast<void>(get<C>(row));
    }
    /// Calls visit(ComponentId, std::string_view name, const void* value), for tools.
    template <class F>
    void each_component(Row row, F&& visit) const;

    // ---- queries
    /// world.each<Position, const Velocity, Without<Frozen>>([](Row, Position&, const Velocity&)
    /// {}); Row may be left out. Marks what is not const as changed.
    template <class... Terms, class F>
    void each(F&& visit);
    template <class... Terms, class F>
        requires(detail::Term<Terms>::read_only && ...)
    void each(F&& visit) const {
        const_cast<World*>(this)->each<Terms...>(std::forward<F>(visit));
    }
    /// The same in runs that lie together: visit(std::span<const Row>, std::span<Position>, ...).
    template <class... Terms, class F>
    void each_span(F&& visit);
    template <class... Terms>
    std::size_t count() const;

    // ---- changes
    /// Later changes are newer than the returned version.
    std::uint64_t checkpoint() noexcept { return version_++; }
    /// visit(Row, const C&) for all rows whose C was added or open to writes after `since`. Some
    /// may hold the same value as before; none that changed is left out.
    template <Component C, class F>
    void changed(std::uint64_t since, F&& visit);
    /// hook(World&, Row, C&), right after a component came. It may queue commands, not change rows.
    template <Component C, class F>
    void on_added(F hook) {
        add_hook(record<C>(), &detail::ComponentRecord::added, wrap<C>(std::move(hook)));
    }
    /// hook(World&, Row, C&), right before a component goes, also with its row.
    template <Component C, class F>
    void on_removed(F hook) {
        add_hook(record<C>(), &detail::ComponentRecord::removed, wrap<C>(std::move(hook)));
    }

    void remove_hooks() noexcept;

    // ---- systems
    /// Systems of a phase run in the order they were added.
    void add(System system);
    /// A system over one query; its declared access is the query's. Calls run(float dt_s, Row,
    /// C&...) for each row; dt_s and Row may be left out.
    template <class... Terms, class F>
    void system(std::string name, Phase phase, F run);
    void remove_systems() noexcept { systems_.clear(); }
    const std::vector<System>& systems() const noexcept { return systems_; }
    void tick(float dt_s);
    std::uint64_t ticks() const noexcept { return ticks_; }
    /// From now on tick() notes how long each system took, by this clock in nanoseconds, read once
    /// a system and once a phase that has commands. Empty: it measures nothing (the default).
    void measure(std::function<std::uint64_t()> clock_ns, CodePin pin = {}) {
        clock_ns_ = std::move(clock_ns);
        clock_pin_ = clock_ns_ ? pin : CodePin(nullptr);
    }
    std::uint64_t commands_took_ns() const noexcept { return commands_took_ns_; }

    Commands& commands() noexcept { return commands_; }
    void flush();  ///< Applies the commands now; tick() does it after each phase.

    /// Over all rows and values in iteration order. Equal operations give equal hashes in every
    /// build. Asserts on a component that is not plain bytes and has no hash(StateHasher&) const.
    std::uint64_t state_hash() const;

    /// Not needed before use. A module that replaces another calls it: the new code takes over.
    template <Component C>
    void register_component() {
        record(detail::component_type<C>(), true);
    }
    /// From now on a component that is not registered asserts.
    void seal() noexcept { sealed_ = true; }

    // ---- storing a world; gyre/world/rows.hpp does it for worlds that are members
    /// What there is besides the values. No commands may wait.
    Image image() const;
    /// Replaces all rows by those of an image, their values default-constructed and newer than every
    /// checkpoint of the world it was made of. Hooks do not run, systems stay. Returns what is
    /// wrong with the image, and then changes nothing; empty: nothing.
    std::string restore(const Image& image, const Constructors& constructors);
    /// A value of a living row, unmarked; null: it has none. The type is the caller's knowledge.
    void* value(Row row, ComponentId id) const noexcept;

private:
    friend class Commands;
    friend class MarkCheck;
    class Iterating {
    public:
        explicit Iterating(World& world) : world_(world) { ++world_.iterating_; }
        ~Iterating() { --world_.iterating_; }
        Iterating(const Iterating&) = delete;
        Iterating& operator=(const Iterating&) = delete;

    private:
        World& world_;
    };

    void assert_not_iterating() const noexcept {
        GYRE_ASSERT(iterating_ == 0, "ecs: rows changed inside each() or a hook: use commands()");
    }
    template <class C>
    void check_access() const {
        if (running_)
            check_access(detail::Term<C>::read_only, component_id<typename detail::Term<C>::Type>);
    }
    void check_access(bool read_only, ComponentId id) const;
    detail::Archetype& archetype_of(Row row) const noexcept {
        return *archetypes_[slots_[row.index].archetype];
    }

    template <class... Cs>
    void place(Row row, Cs... components);
    template <class C>
    static void construct(detail::Archetype& archetype, std::byte* block, std::uint32_t column,
                          std::uint32_t i, std::uint64_t version, C&& value) {
        if constexpr (!std::is_empty_v<C>)
            new (archetype.array<C>(block, column) + i) C(std::move(value));
        archetype.start_version(block, column, i, version);
    }
    template <Component C>
    const detail::Archetype::Edge& edge(detail::Archetype& from, bool adds);
    const detail::Archetype::Edge& make_edge(detail::Archetype& from,
                                             detail::ComponentRecord& record, bool adds);
    /// Moves a row along an edge; returns its new place. A component added is not yet constructed.
    std::uint32_t move(Row row, detail::Slots::Slot& slot, detail::Archetype& from,
                       const detail::Archetype::Edge& edge) {
        const std::uint32_t old = slot.row;
        if (edge.target->hole_count() != 0) edge.target->settle(slots_);
        const std::uint32_t at = edge.target->push(row);
        from.move_values(old, edge, at);
        slot.archetype = edge.target->index();
        slot.row = at;
        leave_hole(from, old);
        return at;
    }
    void leave_hole(detail::Archetype& archetype, std::uint32_t at) {
        if (!archetype.listed()) [[unlikely]]
            list_unsettled(archetype);
        if (archetype.leave_hole(at)) [[unlikely]]
            archetype.settle(slots_);
    }

    void list_unsettled(detail::Archetype& archetype);
    void end_values(detail::Archetype& archetype, std::uint32_t row);

    template <class C>
    detail::ComponentRecord& record() {
        return record(detail::component_type<C>(), false);
    }
    detail::ComponentRecord& record(const detail::ComponentType& type, bool replace);
    detail::Archetype& archetype(std::vector<detail::ComponentRecord*> components);
    template <class... Cs>
    const detail::Bundle& bundle();
    template <class... Terms>
    const detail::Query& query();
    const detail::Query& make_query(std::uint64_t key, std::vector<detail::TermInfo> terms);
    template <class... Ts, class F>
    void each_block(const detail::Query& query, detail::Types<Ts...>, F&& visit);

    template <class C, class F>
    static detail::Hook wrap(F hook) {
        return {[hook = std::move(hook)](World& world, Row row, void* value) mutable {
            hook(world, row, *static_cast<C*>(value));
        }};
    }
    using HookList = std::vector<detail::Hook> detail::ComponentRecord::*;
    void add_hook(detail::ComponentRecord& record, HookList list, detail::Hook hook);
    void call_hooks(HookList list, detail::Archetype& archetype, std::uint32_t row,
                    std::uint32_t column);
    void call_all_hooks(HookList list, detail::Archetype& archetype, std::uint32_t row);

    detail::BlockPool pool_;  // Outlives what it holds.
    detail::Slots slots_{pool_};
    std::size_t alive_count_ = 0;
    std::uint64_t version_ = 1;
    std::uint32_t iterating_ = 0;
    const System* running_ = nullptr;
    std::uint64_t ticks_ = 0;
    bool ticking_ = false;
    bool sealed_ = false;
    std::function<std::uint64_t()> clock_ns_;
    CodePin clock_pin_{nullptr};  ///< Of a clock there is: a world alone is no code.
    std::uint64_t commands_took_ns_ = 0;

    std::vector<std::unique_ptr<detail::ComponentRecord>> records_;  // Outlive the archetypes.
    std::vector<std::unique_ptr<detail::Archetype>> archetypes_;
    std::vector<detail::Archetype*> unsettled_;  ///< May have holes.
    std::vector<std::unique_ptr<detail::Bundle>> bundles_;
    std::vector<std::unique_ptr<detail::Query>> queries_;
    detail::IdMap record_of_, archetype_of_set_, bundle_of_, query_of_;
    std::vector<System> systems_;
    Commands commands_;
};

}  // namespace gyre::ecs

#include <gyre/ecs/detail/world_inl.hpp>
