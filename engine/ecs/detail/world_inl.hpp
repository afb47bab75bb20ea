#pragma once
#include <gyre/ecs/world.hpp>

namespace gyre::ecs {

template <class... Cs>
const detail::Bundle& World::bundle() {
    static_assert(sizeof...(Cs) <= detail::Bundle::max_components,
                  "gyre: at most 16 components at once");
    static_assert(detail::all_distinct<Cs...>(), "gyre: a row has at most one component of a type");
    constexpr std::uint64_t key = detail::query_key<Cs...>();
    const std::uint32_t found = bundle_of_.find(key);
    if (found != detail::IdMap::none) return *bundles_[found];
    auto made = std::make_unique<detail::Bundle>();
    made->archetype = &archetype({&record<Cs>()...});
    std::size_t k = 0;
    ((made->columns[k++] = made->archetype->find(component_id<Cs>)), ...);
    bundle_of_.insert(key, static_cast<std::uint32_t>(bundles_.size()));
    bundles_.push_back(std::move(made));
    return *bundles_.back();
}

template <class... Cs>
void World::place(Row row, Cs... components) {
    const detail::Bundle& to = bundle<Cs...>();
    detail::Archetype& archetype = *to.archetype;
    if (archetype.hole_count() != 0) archetype.settle(slots_);
    const std::uint32_t at = archetype.push(row);
    detail::Slots::Slot& slot = slots_[row.index];
    slot.archetype = archetype.index();
    slot.row = at;
    ++alive_count_;
    [[maybe_unused]] std::byte* const block = archetype.block_of(at);
    [[maybe_unused]] const std::uint32_t i = archetype.in_block(at);
    [[maybe_unused]] std::size_t k = 0;
    (construct(archetype, block, to.columns[k++], i, version_, std::move(components)), ...);
    if (archetype.hooked()) call_all_hooks(&detail::ComponentRecord::added, archetype, at);
}

namespace detail {
template <class C>
void default_construct(C* at) {
    if constexpr (!std::is_empty_v<C>) new (at) C{};
}
}  // namespace detail

template <Component... Cs, class F>
void World::spawn_many(std::uint32_t count, F&& initialize) {
    assert_not_iterating();
    const detail::Bundle& to = bundle<Cs...>();
    detail::Archetype& archetype = *to.archetype;
    archetype.settle(slots_);
    archetype.reserve(count);
    const std::uint32_t first = archetype.size();
    alive_count_ += count;
    const auto fill = [&]<std::size_t... ks>(std::index_sequence<ks...>) {
        for (std::uint32_t done = 0; done < count;) {
            const std::uint32_t at = archetype.size();
            const std::span<Row> rows = archetype.push_many(count - done);
            slots_.take_many(rows, archetype.index(), at);
            std::byte* const block = archetype.block_of(at);
            const std::uint32_t begin = archetype.in_block(at);
            const auto added = static_cast<std::uint32_t>(rows.size());
            (archetype.start_versions(block, to.columns[ks], begin, begin + added, version_), ...);
            const auto run = [&](Cs*... values) noexcept {
                for (std::uint32_t j = 0; j < added; ++j) {
                    (detail::default_construct(values + j), ...);
                    if constexpr (std::is_invocable_v<F&, Row, Cs&...>) {
                        initialize(rows[j], values[j]...);
                    } else {
                        initialize(values[j]...);
                    }
                }
            };
            Iterating guard(*this);
            run(archetype.array<Cs>(block, to.columns[ks]) + begin...);
            done += added;
        }
    };
    fill(std::make_index_sequence<sizeof...(Cs)>{});
    if (archetype.hooked())
        for (std::uint32_t at = first; at < first + count; ++at)
            call_all_hooks(&detail::ComponentRecord::added, archetype, at);
}

template <Component C>
const detail::Archetype::Edge& World::edge(detail::Archetype& from, bool adds) {
    if (const auto* known = from.find_edge(component_id<C>)) return *known;
    return make_edge(from, record<C>(), adds);
}

template <Component C>
C& World::add(Row row, C value) {
    assert_not_iterating();
    detail::Slots::Slot* const found = slots_.find(row);
    GYRE_ASSERT(found, "ecs: add() to a dead row");
    detail::Slots::Slot& slot = *found;
    detail::Archetype& from = *archetypes_[slot.archetype];
    const detail::Archetype::Edge* way = from.find_edge(component_id<C>);
    if (!way || !way->adds) {
        const std::uint32_t column = from.find(component_id<C>);
        if (column != detail::IdMap::none) {
            std::byte* const block = from.block_of(slot.row);
            const std::uint32_t i = from.in_block(slot.row);
            C* const old = from.array<C>(block, column) + i;
            if constexpr (!std::is_empty_v<C>) {
                old->~C();
                new (old) C(std::move(value));
            }
            from.set_version(block, column, i, version_);
            return *old;
        }
        way = &edge<C>(from, true);
    }
    const std::uint32_t at = move(row, slot, from, *way);
    detail::Archetype& to = *way->target;
    std::byte* const block = to.block_of(at);
    const std::uint32_t i = to.in_block(at), column = way->column;
    construct(to, block, column, i, version_, std::move(value));
    if (to.hooked()) call_hooks(&detail::ComponentRecord::added, to, at, column);
    return to.array<C>(block, column)[i];
}

template <Component C>
bool World::remove(Row row) {
    assert_not_iterating();
    detail::Slots::Slot* const found = slots_.find(row);
    if (!found) return false;
    detail::Slots::Slot& slot = *found;
    detail::Archetype& from = *archetypes_[slot.archetype];
    const detail::Archetype::Edge* way = from.find_edge(component_id<C>);
    if (!way || way->adds) {
        if (from.find(component_id<C>) == detail::IdMap::none) return false;
        way = &edge<C>(from, false);
    }
    if (from.hooked()) call_hooks(&detail::ComponentRecord::removed, from, slot.row, way->column);
    move(row, slot, from, *way);
    return true;
}

template <class C>
C* World::find(Row row) {
    using T = std::remove_const_t<C>;
    check_access<C>();
    const detail::Slots::Slot* const found = std::as_const(slots_).find(row);
    if (!found) return nullptr;
    const detail::Slots::Slot& slot = *found;
    detail::Archetype& archetype = *archetypes_[slot.archetype];
    const std::uint32_t column = archetype.find(component_id<T>);
    if (column == detail::IdMap::none) return nullptr;
    std::byte* const block = archetype.block_of(slot.row);
    const std::uint32_t i = archetype.in_block(slot.row);
    if constexpr (!std::is_const_v<C>) archetype.set_version(block, column, i, version_);
    return archetype.array<T>(block, column) + i;
}

template <class F>
void World::each_component(Row row, F&& visit) const {
    if (!alive(row)) return;
    const detail::Slots::Slot slot = slots_[row.index];
    const detail::Archetype& archetype = *archetypes_[slot.archetype];
    for (std::uint32_t c = 0; c < archetype.columns().size(); ++c) {
        const detail::Column& column = archetype.columns()[c];
        visit(column.id, std::string_view(column.record->name),
              static_cast<const void*>(
                  archetype.value(archetype.block_of(slot.row), c, archetype.in_block(slot.row))));
    }
}

template <class... Terms>
const detail::Query& World::query() {
    static_assert(detail::all_distinct<typename detail::Term<Terms>::Type...>(),
                  "gyre: a query names each component once");
    constexpr std::uint64_t key = detail::query_key<Terms...>();
    const std::uint32_t found = query_of_.find(key);
    if (found != detail::IdMap::none) return *queries_[found];
    return make_query(key, {detail::TermInfo{detail::Term<Terms>::kind,
                                             component_id<typename detail::Term<Terms>::Type>}...});
}

template <class... Ts, class F>
void World::each_block(const detail::Query& query, detail::Types<Ts...>, F&& visit) {
    (check_access<Ts>(), ...);
    Iterating guard(*this);
    const auto run = [&]<std::size_t... ks>(std::index_sequence<ks...>) {
        for (std::size_t m = 0; m < query.matches.size(); ++m) {
            detail::Archetype& archetype = *query.matches[m];
            [[maybe_unused]] const std::uint32_t* columns =
                query.columns.data() + m * sizeof...(Ts);
            const std::uint32_t blocks = archetype.block_count();
            for (std::uint32_t b = 0; b < blocks; ++b) {
                std::byte* const block = archetype.block(b);
                (void(std::is_const_v<Ts> || (archetype.visit(block, columns[ks], version_), true)),
                 ...);
                archetype.each_run(b, [&](std::uint32_t begin, std::uint32_t count) {
                    visit(archetype.rows(block) + begin, std::size_t{count},
                          archetype.template array<Ts>(block, columns[ks]) + begin...);
                });
            }
        }
    };
    run(std::index_sequence_for<Ts...>{});
}

template <class... Terms, class F>
void World::each(F&& visit) {
    each_block(query<Terms...>(), detail::Fetched<Terms...>{},
               [&visit]<class... Ts>(const Row* rows, std::size_t count, Ts*... columns) {
                   for (std::size_t i = 0; i < count; ++i) {
                       if constexpr (std::is_invocable_v<F&, Row, Ts&...>) {
                           visit(rows[i], columns[i]...);
                       } else {
                           visit(columns[i]...);
                       }
                   }
               });
}

template <class... Terms, class F>
void World::each_span(F&& visit) {
    each_block(query<Terms...>(), detail::Fetched<Terms...>{},
               [&visit]<class... Ts>(const Row* rows, std::size_t count, Ts*... columns) {
                   visit(std::span<const Row>(rows, count), std::span<Ts>(columns, count)...);
               });
}

template <class... Terms>
std::size_t World::count() const {
    std::size_t total = 0;
    for (const detail::Archetype* match : const_cast<World*>(this)->query<Terms...>().matches)
        total += match->live();
    return total;
}

template <Component C, class F>
void World::changed(std::uint64_t since, F&& visit) {
    check_access<const C>();
    const detail::Query& all = query<C>();
    Iterating guard(*this);
    for (std::size_t m = 0; m < all.matches.size(); ++m) {
        const detail::Archetype& archetype = *all.matches[m];
        const std::uint32_t column = all.columns[m];
        for (std::uint32_t b = 0; b < archetype.block_count(); ++b) {
            std::byte* const block = archetype.block(b);
            const bool whole = archetype.block_version(block, column) > since;
            const std::uint64_t* each = archetype.row_versions(block, column);
            if (!whole && !each) continue;
            const C* values = archetype.array<const C>(block, column);
            archetype.each_run(b, [&](std::uint32_t begin, std::uint32_t count) {
                for (std::uint32_t i = begin; i < begin + count; ++i)
                    if (whole || each[i] > since) visit(archetype.rows(block)[i], values[i]);
            });
        }
    }
}

namespace detail {
template <class... Ts>
System::Run query_run(Types<Ts...>, auto run, auto each) {
    return [run = std::move(run), each](World& world, float dt_s) mutable {
        each(world, [&](Row row, Ts&... values) {
            using F = decltype(run);
            if constexpr (std::is_invocable_v<F&, float, Row, Ts&...>) {
                run(dt_s, row, values...);
            } else if constexpr (std::is_invocable_v<F&, float, Ts&...>) {
                run(dt_s, values...);
            } else if constexpr (std::is_invocable_v<F&, Row, Ts&...>) {
                run(row, values...);
            } else {
                run(values...);
            }
        });
    };
}
template <class T>
void declare(System& system) {
    if constexpr (Term<T>::kind == TermKind::fetch)
        (Term<T>::read_only ? system.read_ids : system.write_ids)
            .push_back(component_id<typename Term<T>::Type>);
}
}  // namespace detail

template <class... Terms, class F>
void World::system(std::string name, Phase phase, F run) {
    System made(std::move(name), phase, reads<>, writes<>,
                detail::query_run(detail::Fetched<Terms...>{}, std::move(run),
                                  [](World& world, auto&& visit) { world.each<Terms...>(visit); }));
    (detail::declare<Terms>(made), ...);
    add(std::move(made));
}

// ---- Commands

template <class Payload>
void Commands::push(Row row, Payload&& payload, void (*apply)(World&, Row, void*)) {
    void* const at = allocate(sizeof(Payload), alignof(Payload));
    new (at) Payload(std::move(payload));
    void (*drop)(void*) noexcept = nullptr;
    if constexpr (!std::is_trivially_destructible_v<Payload>)
        drop = [](void* p) noexcept { static_cast<Payload*>(p)->~Payload(); };
    queue_.push_back({apply, drop, at, row});
}

template <Component... Cs>
Row Commands::spawn(Cs... components) {
    using Payload = std::tuple<Cs...>;
    const Row row = reserve_row();
    push(row, Payload(std::move(components)...), [](World& world, Row target, void* payload) {
        auto& values = *static_cast<Payload*>(payload);
        std::apply([&](Cs&... each) { world.place(target, std::move(each)...); }, values);
        values.~Payload();
    });
    return row;
}

template <Component C>
void Commands::add(Row row, C value) {
    push(row, std::move(value), [](World& world, Row target, void* payload) {
        C& taken = *static_cast<C*>(payload);
        if (world.alive(target)) world.add(target, std::move(taken));
        taken.~C();
    });
}

template <Component C>
void Commands::remove(Row row) {
    queue_.push_back(
        {[](World& world, Row target, void*) { world.remove<C>(target); }, nullptr, nullptr, row});
}

}  // namespace gyre::ecs
