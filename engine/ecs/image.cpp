#include <gyre/ecs/image.hpp>
#include <gyre/ecs/world.hpp>

#include <algorithm>
#include <set>
#include <string>

namespace gyre::ecs {
namespace {

std::string name_of(Row row) {
    return "row " + std::to_string(row.index) + " of generation " + std::to_string(row.generation);
}

std::string wrong_rows(const Image& image) {
    constexpr std::size_t rows_max = 0x80000000u;
    if (image.generations.size() > rows_max) return "more than 2^31 rows";
    for (std::size_t i = 0; i < image.generations.size(); ++i)
        if (image.generations[i] == 0) return "row " + std::to_string(i) + " has generation 0";
    std::vector<bool> seen(image.generations.size());
    std::size_t count = 0;
    for (const std::uint32_t index : image.unused) {
        if (index >= seen.size()) return "unused row " + std::to_string(index) + " never was";
        if (seen[index]) return "row " + std::to_string(index) + " is unused twice";
        seen[index] = true, ++count;
    }
    for (const auto& kind : image.kinds)
        for (const Row row : kind.rows) {
            if (row == Row{}) continue;
            if (row.index >= seen.size() || image.generations[row.index] != row.generation)
                return name_of(row) + " never was";
            if (seen[row.index]) return name_of(row) + " is in two places";
            seen[row.index] = true, ++count;
        }
    if (count != seen.size()) return std::to_string(seen.size() - count) + " rows are in no place";
    return {};
}

}  // namespace

Image World::image() const {
    GYRE_ASSERT(iterating_ == 0 && !ticking_ && commands_.empty(),
                "ecs: an image during a tick, or while commands wait");
    Image out;
    out.version = version_;
    out.ticks = ticks_;
    out.generations.reserve(slots_.size());
    for (std::uint32_t i = 0; i < slots_.size(); ++i) out.generations.push_back(slots_[i].generation);
    for (std::uint32_t i = slots_.first_unused(); i != detail::Slots::unused; i = slots_[i].row)
        out.unused.push_back(i);
    for (const auto& archetype : archetypes_) {
        Image::Kind& kind = out.kinds.emplace_back();
        for (const auto& column : archetype->columns()) kind.components.push_back(column.id);
        kind.rows.resize(archetype->size());
        std::size_t base = 0;
        for (std::uint32_t b = 0; b < archetype->block_count(); base += archetype->rows_in(b++))
            archetype->each_run(b, [&](std::uint32_t begin, std::uint32_t count) {
                std::copy_n(archetype->rows(archetype->block(b)) + begin, count,
                            kind.rows.begin() + static_cast<std::ptrdiff_t>(base + begin));
            });
    }
    return out;
}

std::string World::restore(const Image& image, const Constructors& constructors) {
    GYRE_ASSERT(iterating_ == 0 && !ticking_ && commands_.empty(),
                "ecs: restore() during a tick, or while commands wait");
    if (image.version >= std::uint64_t{1} << 62) return "version " + std::to_string(image.version);
    if (std::string wrong = wrong_rows(image); !wrong.empty()) return wrong;
    std::set<std::vector<ComponentId>> sets;
    for (const auto& kind : image.kinds) {
        auto set = kind.components;
        std::sort(set.begin(), set.end());
        if (std::adjacent_find(set.begin(), set.end()) != set.end())
            return "a kind of rows has a component twice";
        for (const ComponentId id : set)
            if (record_of_.find(id) == detail::IdMap::none)
                return "a kind of rows has a component that is not registered";
        if (!sets.insert(std::move(set)).second) return "two kinds of rows have the same components";
    }

    queries_.clear(), bundles_.clear(), unsettled_.clear(), archetypes_.clear();
    query_of_ = bundle_of_ = archetype_of_set_ = detail::IdMap();
    slots_.reset(image.generations, image.unused);
    alive_count_ = image.generations.size() - image.unused.size();
    version_ = image.version + 1;
    ticks_ = image.ticks;
    for (const auto& kind : image.kinds) {
        std::vector<detail::ComponentRecord*> components;
        for (const ComponentId id : kind.components)
            components.push_back(records_[record_of_.find(id)].get());
        detail::Archetype& made = archetype(std::move(components));
        std::vector<void (*)(void*)> construct(made.columns().size());
        for (std::size_t c = 0; c < construct.size(); ++c)
            for (const auto& one : constructors)
                if (one.id == made.columns()[c].id) construct[c] = one.construct;
        made.reserve(static_cast<std::uint32_t>(kind.rows.size()));
        for (const Row row : kind.rows) {
            const std::uint32_t at = made.push(row);
            if (row == Row{}) continue;
            slots_[row.index].archetype = made.index();
            slots_[row.index].row = at;
            std::byte* const block = made.block_of(at);
            const std::uint32_t i = made.in_block(at);
            for (std::uint32_t c = 0; c < construct.size(); ++c) {
                if (made.columns()[c].size != 0) {
                    GYRE_ASSERT(construct[c], "ecs: a component without a constructor");
                    construct[c](made.value(block, c, i));
                }
                made.start_version(block, c, i, version_);
            }
        }
        for (std::uint32_t at = 0; at < kind.rows.size(); ++at) {
            if (kind.rows[at] != Row{}) continue;
            if (!made.listed()) list_unsettled(made);
            made.leave_hole(at);
        }
    }
    return {};
}

void* World::value(Row row, ComponentId id) const noexcept {
    const detail::Slots::Slot* const slot = slots_.find(row);
    if (!slot) return nullptr;
    const detail::Archetype& archetype = *archetypes_[slot->archetype];
    const std::uint32_t column = archetype.find(id);
    if (column == detail::IdMap::none) return nullptr;
    return archetype.value(archetype.block_of(slot->row), column, archetype.in_block(slot->row));
}

}  // namespace gyre::ecs
