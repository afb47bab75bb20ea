#include <gyre/ecs/mark_check.hpp>
#include <gyre/ecs/world.hpp>

#include <algorithm>

namespace gyre::ecs {

std::vector<MarkCheck::Missed> MarkCheck::look() {
    std::vector<Missed> missed;
    std::map<std::pair<Row, std::uint64_t>, std::string> now;
    const auto look_at = [&](const detail::Archetype& archetype, std::byte* block, std::uint32_t c,
                             std::uint32_t i) {
        const detail::Column& column = archetype.columns()[c];
        const std::byte* const value = archetype.value(block, c, i);
        std::string bytes;
        if (column.bytes_only) {
            bytes.assign(reinterpret_cast<const char*>(value), column.size);
        } else if (column.record->type.hash) {
            StateHasher hasher;
            column.record->type.hash(hasher, value, 1);
            bytes = std::to_string(hasher.value());
        }
        const Row row = archetype.rows(block)[i];
        const auto key = std::pair(row, column.id);
        const auto before = before_.find(key);
        if (before != before_.end() && before->second != bytes &&
            archetype.row_version(block, c, i) <= since_) {
            const auto at = std::mismatch(bytes.begin(), bytes.end(), before->second.begin(),
                                          before->second.end());
            missed.push_back({row, column.record->name,
                              column.bytes_only
                                  ? static_cast<std::uint32_t>(at.first - bytes.begin())
                                  : 0});
        }
        now.emplace(key, std::move(bytes));
    };
    for (const auto& archetype : world_.archetypes_)
        for (std::uint32_t b = 0; b < archetype->block_count(); ++b)
            archetype->each_run(b, [&](std::uint32_t begin, std::uint32_t count) {
                for (std::uint32_t i = begin; i < begin + count; ++i)
                    for (std::uint32_t c = 0; c < archetype->columns().size(); ++c)
                        look_at(*archetype, archetype->block(b), c, i);
            });
    before_ = std::move(now);
    since_ = world_.checkpoint();
    return missed;
}

}  // namespace gyre::ecs
