#include <gyre/ecs/world.hpp>

#include <algorithm>
#include <utility>

namespace gyre::ecs {

World::~World() = default;

void World::end_values(detail::Archetype& archetype, std::uint32_t row) {
    if (archetype.hooked()) call_all_hooks(&detail::ComponentRecord::removed, archetype, row);
    archetype.destroy_values(row);
}

void World::list_unsettled(detail::Archetype& archetype) {
    archetype.set_listed(true);
    unsettled_.push_back(&archetype);
}

std::size_t World::destroy(std::span<const Row> rows) {
    constexpr std::size_t ahead = 16;  // The memory of so many is on its way.
    std::size_t gone = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (i + ahead < rows.size()) slots_.prefetch(rows[i + ahead].index);
        gone += destroy(rows[i]);
    }
    return gone;
}

void World::settle() {
    assert_not_iterating();
    for (detail::Archetype* archetype : unsettled_) {
        archetype->settle(slots_);
        archetype->set_listed(false);
    }
    unsettled_.clear();
}

const detail::Archetype::Edge& World::make_edge(detail::Archetype& from,
                                                detail::ComponentRecord& record, bool adds) {
    std::vector<detail::ComponentRecord*> components;
    for (const detail::Column& column : from.columns())
        if (adds || column.id != record.type.id) components.push_back(column.record);
    if (adds) components.push_back(&record);
    detail::Archetype& to = archetype(std::move(components));
    detail::Archetype::Edge made{
        record.type.id, &to, adds, (adds ? to : from).find(record.type.id), {}, {}};
    for (const detail::Column& column : from.columns()) made.map.push_back(to.find(column.id));
    return from.add_edge(std::move(made));
}

detail::ComponentRecord& World::record(const detail::ComponentType& type, bool replace) {
    std::uint32_t at = record_of_.find(type.id);
    if (at == detail::IdMap::none) {
        if (sealed_) {
            const std::string message = "ecs: " + std::string(type.name) +
                                        " is not among the components this world is made of";
            assert_failed("registered component", message.c_str(), __FILE__, __LINE__);
        }
        at = static_cast<std::uint32_t>(records_.size());
        record_of_.insert(type.id, at);
        records_.push_back(std::make_unique<detail::ComponentRecord>());
        records_.back()->name = type.name;
        replace = true;
        records_.back()->type = type;
    }
    detail::ComponentRecord& record = *records_[at];
    GYRE_ASSERT(record.name == type.name && record.type.size == type.size &&
                    record.type.align == type.align,
                "ecs: two component types with one name");
    if (replace) {
        record.type = type;
        record.type.name = record.name;
        for (const auto& archetype : archetypes_)
            if (archetype->find(type.id) != detail::IdMap::none) archetype->refresh();
    }
    return record;
}

detail::Archetype& World::archetype(std::vector<detail::ComponentRecord*> components) {
    std::sort(components.begin(), components.end(),
              [](const auto* a, const auto* b) { return a->type.id < b->type.id; });
    std::uint64_t key = components.size();
    for (const auto* component : components) key = mix(key ^ component->type.id);
    std::uint32_t at = archetype_of_set_.find(key);
    if (at != detail::IdMap::none) return *archetypes_[at];
    at = static_cast<std::uint32_t>(archetypes_.size());
    archetype_of_set_.insert(key, at);
    archetypes_.push_back(std::make_unique<detail::Archetype>(at, std::move(components), pool_));
    for (const auto& query : queries_) query->offer(*archetypes_.back());
    return *archetypes_.back();
}

const detail::Query& World::make_query(std::uint64_t key, std::vector<detail::TermInfo> terms) {
    auto made = std::make_unique<detail::Query>();
    made->terms = std::move(terms);
    for (const auto& archetype : archetypes_) made->offer(*archetype);
    query_of_.insert(key, static_cast<std::uint32_t>(queries_.size()));
    queries_.push_back(std::move(made));
    return *queries_.back();
}

void detail::Query::offer(Archetype& archetype) {
    const std::size_t before = columns.size();
    for (const TermInfo& term : terms) {
        const std::uint32_t column = archetype.find(term.id);
        if ((column == IdMap::none) != (term.kind == TermKind::without)) {
            columns.resize(before);
            return;
        }
        if (term.kind == TermKind::fetch) columns.push_back(column);
    }
    matches.push_back(&archetype);
}

void World::add_hook(detail::ComponentRecord& record, HookList list, detail::Hook hook) {
    GYRE_ASSERT(iterating_ == 0, "ecs: a hook added inside each() or a hook");
    (record.*list).push_back(std::move(hook));
    for (const auto& archetype : archetypes_)
        if (archetype->find(record.type.id) != detail::IdMap::none) archetype->set_hooked(true);
}

void World::remove_hooks() noexcept {
    for (const auto& record : records_) record->added.clear(), record->removed.clear();
    for (const auto& archetype : archetypes_) archetype->set_hooked(false);
}

void World::call_hooks(HookList list, detail::Archetype& archetype, std::uint32_t row,
                       std::uint32_t column) {
    Iterating guard(*this);
    std::byte* const block = archetype.block_of(row);
    const std::uint32_t i = archetype.in_block(row);
    for (const detail::Hook& hook : archetype.columns()[column].record->*list)
        hook.run(*this, archetype.rows(block)[i], archetype.value(block, column, i));
}

void World::call_all_hooks(HookList list, detail::Archetype& archetype, std::uint32_t row) {
    for (std::uint32_t c = 0; c < archetype.columns().size(); ++c)
        call_hooks(list, archetype, row, c);
}

void World::check_access(bool read_only, ComponentId id) const {
    const auto holds = [id](const std::vector<ComponentId>& ids) {
        return std::find(ids.begin(), ids.end(), id) != ids.end();
    };
    if (holds(running_->write_ids) || (read_only && holds(running_->read_ids))) return;
    const std::uint32_t at = record_of_.find(id);
    const std::string message =
        "ecs: system " + running_->name + (read_only ? " reads " : " writes ") +
        (at == detail::IdMap::none ? "a component" : records_[at]->name) + " without declaring it";
    assert_failed("declared access", message.c_str(), __FILE__, __LINE__);
}

void World::add(System system) {
    GYRE_ASSERT(!ticking_, "ecs: a system added during a tick");
    const auto at = std::find_if(systems_.begin(), systems_.end(),
                                 [&](const System& other) { return other.phase > system.phase; });
    systems_.insert(at, std::move(system));
}

void World::tick(float dt_s) {
    GYRE_ASSERT(!ticking_ && iterating_ == 0, "ecs: tick() inside a tick or each()");
    struct Guard {
        World& world;
        explicit Guard(World& w) : world(w) { world.ticking_ = true; }
        ~Guard() { world.ticking_ = false, world.running_ = nullptr; }
    } guard(*this);
    settle();
    std::uint64_t before = clock_ns_ ? clock_ns_() : 0;
    const auto lap = [&] {
        if (!clock_ns_) return std::uint64_t{0};
        const std::uint64_t now = clock_ns_();
        return now - std::exchange(before, now);
    };
    commands_took_ns_ = 0;
    auto next = systems_.begin();
    for (std::size_t phase = 0; phase < phase_count; ++phase) {
        for (; next != systems_.end() && static_cast<std::size_t>(next->phase) == phase; ++next) {
            ++version_;
            running_ = &*next;
            next->run(*this, dt_s);
            next->took_ns = lap();
        }
        running_ = nullptr;
        if (commands_.empty()) {
            settle();
        } else {
            flush();
            commands_took_ns_ += lap();
        }
    }
    ++ticks_;
}

void World::flush() {
    assert_not_iterating();
    if (!commands_.empty()) {
        ++version_;
        commands_.apply();
    }
    settle();
}

std::uint64_t World::state_hash() const {
    StateHasher hasher;
    hasher.number(alive_count_);
    hasher.number(slots_.size());
    hasher.number(slots_.first_unused());
    for (const auto& archetype : archetypes_) {
        for (std::uint32_t b = 0; b < archetype->block_count(); ++b) {
            std::byte* const block = archetype->block(b);
            archetype->each_run(b, [&](std::uint32_t begin, std::uint32_t count) {
                hasher.number(begin);
                hasher.number(count);
                hasher.bytes(archetype->rows(block) + begin, count * sizeof(Row));
                for (std::uint32_t c = 0; c < archetype->columns().size(); ++c) {
                    const detail::ComponentRecord& record = *archetype->columns()[c].record;
                    if (!record.type.hash) {
                        const std::string message =
                            "ecs: state_hash() of " + record.name +
                            ": it has padding or is not plain; give it hash(StateHasher&) const";
                        assert_failed("record.type.hash", message.c_str(), __FILE__, __LINE__);
                    }
                    hasher.number(record.type.id);
                    record.type.hash(hasher, archetype->value(block, c, begin), count);
                }
            });
        }
    }
    return hasher.value();
}

}  // namespace gyre::ecs
