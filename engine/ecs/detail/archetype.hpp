#pragma once
#include <gyre/base/assert.hpp>
#include <gyre/base/code.hpp>
#include <gyre/ecs/component.hpp>
#include <gyre/ecs/detail/block_pool.hpp>
#include <gyre/ecs/detail/id_map.hpp>
#include <gyre/ecs/detail/slots.hpp>
#include <gyre/ecs/row.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gyre::ecs {
class World;
}

namespace gyre::ecs::detail {

struct Hook {
    std::function<void(World&, Row, void*)> run;
    CodePin pin{};
};

/// A component as one world knows it. Owns its name: the module that brought it may go.
struct ComponentRecord {
    ComponentType type;
    std::string name;
    std::vector<Hook> added, removed;
};

struct Column {
    ComponentId id;
    ComponentRecord* record;
    std::uint32_t size;    ///< 0: tag.
    std::uint32_t offset;  ///< From the start of a block.
    bool bytes_only;       ///< Relocates by memcpy and needs no destructor.
};

/// Small fixed sizes without a call.
inline void copy_bytes(std::byte* to, const std::byte* from, std::uint32_t size) noexcept {
    if (size > 32) {
        std::memcpy(to, from, size);
    } else if (size >= 16) {
        std::byte head[16], tail[16];
        std::memcpy(head, from, 16), std::memcpy(tail, from + size - 16, 16);
        std::memcpy(to, head, 16), std::memcpy(to + size - 16, tail, 16);
    } else if (size >= 8) {
        std::uint64_t head, tail;
        std::memcpy(&head, from, 8), std::memcpy(&tail, from + size - 8, 8);
        std::memcpy(to, &head, 8), std::memcpy(to + size - 8, &tail, 8);
    } else if (size >= 4) {
        std::uint32_t head, tail;
        std::memcpy(&head, from, 4), std::memcpy(&tail, from + size - 4, 4);
        std::memcpy(to, &head, 4), std::memcpy(to + size - 4, &tail, 4);
    } else {
        for (std::uint32_t i = 0; i < size; ++i) to[i] = from[i];
    }
}

/// All rows with one set of components, packed, in blocks of one array a component.
/// The first block starts small and grows; from then on blocks are full-sized and stay in place.
///
/// Change versions: one for each component and block, raised when a loop with write access visits
/// the block, and, only where rows differ, one a row. A row's version is the larger of the two, so
/// a change is never missed; a row moved into a later written block may be reported unchanged.
class Archetype {
public:
    Archetype(std::uint32_t index, std::vector<ComponentRecord*> sorted_by_id, BlockPool& pool);
    ~Archetype();
    Archetype(const Archetype&) = delete;
    Archetype& operator=(const Archetype&) = delete;

    static constexpr std::uint32_t no_column = IdMap::none;

    struct Edge {  ///< To the archetype with one component more or less.
        ComponentId id;
        Archetype* target;
        bool adds;
        std::uint32_t column;            ///< Of the component, in the archetype that has it.
        std::vector<std::uint32_t> map;  ///< Column here -> column there, or no_column.

        struct Copy {
            std::uint32_t size, from_offset, to_offset, from, to;  ///< Offsets in a block; columns.
            bool bytes_only;
        };
        /// What a move does to the values, as the blocks of both are laid out.
        mutable std::vector<Copy> copies;
        mutable std::uint32_t from_rows = 0, to_rows = 0;  ///< Of a block, then.
    };

    std::uint32_t index() const noexcept { return index_; }
    std::uint32_t size() const noexcept { return size_; }  ///< With holes.
    std::uint32_t live() const noexcept { return size_ - hole_count(); }
    const std::vector<Column>& columns() const noexcept { return columns_; }
    std::uint32_t find(ComponentId id) const noexcept { return column_of_.find(id); }
    bool hooked() const noexcept { return hooked_; }
    bool silent() const noexcept { return !hooked_ && bytes_only_; }  ///< A row goes unnoticed.
    void set_hooked(bool is) noexcept { hooked_ = is; }
    /// The code of its components was replaced: what is known of their types is looked up again.
    void refresh() noexcept;
    bool listed() const noexcept { return listed_; }  ///< Among those the world is to settle.
    void set_listed(bool is) noexcept { listed_ = is; }
    /// A row either has a component or not: there is one edge for it, adding or removing.
    const Edge* find_edge(ComponentId id) const noexcept {
        for (const auto& edge : edges_)
            if (edge.first == id) return edge.second.get();
        return nullptr;
    }
    const Edge& add_edge(Edge edge) {
        edges_.emplace_back(edge.id, std::make_unique<Edge>(std::move(edge)));
        return *edges_.back().second;
    }

    // Where things lie.
    std::byte* block_of(std::uint32_t row) const noexcept { return blocks_[row >> shift_]; }
    std::uint32_t in_block(std::uint32_t row) const noexcept { return row & (full_ - 1); }
    std::uint32_t block_count() const noexcept { return (size_ + full_ - 1) >> shift_; }
    std::byte* block(std::uint32_t number) const noexcept { return blocks_[number]; }
    std::uint32_t rows_in(std::uint32_t number) const noexcept {
        const std::uint32_t left = size_ - (number << shift_);
        return left < full_ ? left : full_;
    }
    Row& row_at(std::uint32_t row) const noexcept { return rows(block_of(row))[in_block(row)]; }
    Row* rows(std::byte* block) const noexcept {
        return reinterpret_cast<Row*>(block + rows_offset_);
    }
    std::byte* value(std::byte* block, std::uint32_t column, std::uint32_t i) const noexcept {
        const Column& c = columns_[column];
        return block + c.offset + std::size_t{i} * c.size;
    }
    template <class T>
    T* array(std::byte* block, std::uint32_t column) const noexcept {
        return reinterpret_cast<T*>(block + columns_[column].offset);
    }

    // Versions.
    void visit(std::byte* block, std::uint32_t column, std::uint64_t version) const noexcept {
        versions(block)[column] = version;
    }
    std::uint64_t block_version(std::byte* block, std::uint32_t column) const noexcept {
        return versions(block)[column];
    }
    const std::uint64_t* row_versions(std::byte* block, std::uint32_t column) const noexcept {
        return row_version_arrays(block)[column];
    }
    std::uint64_t row_version(std::byte* block, std::uint32_t column,
                              std::uint32_t i) const noexcept {
        const std::uint64_t whole = versions(block)[column];
        const std::uint64_t* each = row_version_arrays(block)[column];
        return each && each[i] > whole ? each[i] : whole;
    }
    void set_version(std::byte* block, std::uint32_t column, std::uint32_t i,
                     std::uint64_t version) {
        if (version > versions(block)[column]) {
            own_row_versions(block, column)[i] = version;
        } else if (std::uint64_t* each = row_version_arrays(block)[column]) {
            each[i] = version;
        }
    }
    /// For a row just pushed: the first in a block starts the block's version anew.
    void start_version(std::byte* block, std::uint32_t column, std::uint32_t i,
                       std::uint64_t version) {
        if (i == 0) versions(block)[column] = version;
        set_version(block, column, i, version);
    }
    void start_versions(std::byte* block, std::uint32_t column, std::uint32_t begin,
                        std::uint32_t end, std::uint64_t version) {
        if (begin == 0) versions(block)[column] = version;
        if (versions(block)[column] >= version && !row_version_arrays(block)[column]) return;
        for (std::uint32_t i = begin; i < end; ++i) set_version(block, column, i, version);
    }

    // Rows. Values of a pushed row are not constructed, of a row to fill already gone.
    std::uint32_t push(Row row) {
        GYRE_ASSERT(hole_count_ == 0, "ecs: a row pushed past holes");
        if (size_ == capacity_) grow();
        rows(block_of(size_))[in_block(size_)] = row;
        return size_++;
    }
    void reserve(std::uint32_t more);
    /// Pushes as many of `count` as fit the current block, at least one; their rows are to be
    /// filled in.
    std::span<Row> push_many(std::uint32_t count) {
        if (size_ == capacity_) grow();
        const std::uint32_t i = in_block(size_);
        const std::uint32_t space = std::min(capacity_ - size_, full_ - i);
        Row* first = rows(block_of(size_)) + i;
        count = std::min(count, space);
        size_ += count;
        return {first, count};
    }

    // Holes. A row that goes leaves one, which costs a number in a list; many are filled at once, in
    // the order of memory. Rows keep their places until settle().
    std::uint32_t hole_count() const noexcept { return hole_count_; }
    /// The row's values are gone already. True: settle now, it is mostly holes, and filling them
    /// costs each but a seventh of moving a row.
    bool leave_hole(std::uint32_t row) {
        if (hole_count_ == holes_.size()) [[unlikely]]
            more_holes();
        holes_[hole_count_++] = row;
        return hole_count_ > size_ / 8 * 7 + 8;
    }
    /// Fills the holes with the last rows, both in ascending order, and tells them their new places.
    void settle(Slots& slots);
    /// visit(std::uint32_t begin, std::uint32_t count) for the runs of rows of one block.
    template <class F>
    void each_run(std::uint32_t number, F&& visit) const {
        const std::uint32_t count = rows_in(number);
        if (hole_count_ == 0) [[likely]]
            return visit(0u, count);
        mark_holes();
        const std::uint32_t base = number << shift_;
        for (std::uint32_t at = 0; at < count;) {
            const std::uint32_t begin = next(base + at, base + count, false) - base;
            if (begin == count) return;
            at = next(base + begin, base + count, true) - base;
            visit(begin, at - begin);
        }
    }
    void destroy_values(std::uint32_t row) noexcept {
        if (!bytes_only_) destroy_owning_values(row);
    }
    /// Moves one row's values to the other end of an edge. Cost: one copy a shared component.
    void move_values(std::uint32_t row, const Edge& edge, std::uint32_t to) noexcept;

private:
    std::uint64_t* versions(std::byte* block) const noexcept {
        return reinterpret_cast<std::uint64_t*>(block);
    }
    std::uint64_t** row_version_arrays(std::byte* block) const noexcept {
        return reinterpret_cast<std::uint64_t**>(block + columns_.size() * sizeof(std::uint64_t));
    }
    std::uint64_t* own_row_versions(std::byte* block, std::uint32_t column);
    void relocate(const Column& column, std::byte* to, std::byte* from) const noexcept {
        if (column.bytes_only) {
            copy_bytes(to, from, column.size);
        } else {
            relocate_many(column, to, from, 1);
        }
    }
    void destroy_owning_values(std::uint32_t row) noexcept;
    /// The first row from `at` on that is a hole, or is none; `end` without one.
    std::uint32_t next(std::uint32_t at, std::uint32_t end, bool hole) const noexcept;
    void plan(const Edge& edge) const;
    void more_holes();
    void mark_holes() const;
    void sort_holes();
    static void relocate_many(const Column&, std::byte* to, std::byte* from,
                              std::size_t count) noexcept;
    void grow();
    void lay_out(std::uint32_t block_rows);
    std::byte* new_block() const;
    void delete_block(std::byte* block, std::uint32_t bytes) const noexcept;

    BlockPool& pool_;
    std::uint32_t index_;
    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = 0;
    std::uint32_t full_ = 0;  ///< Rows in a full block, a power of two.
    std::uint32_t shift_ = 0;
    std::uint32_t block_rows_ = 0;  ///< Rows the current layout holds: full_, or less while small.
    std::uint32_t rows_offset_ = 0;
    std::uint32_t block_bytes_ = 0;
    bool hooked_ = false;
    bool listed_ = false;
    bool bytes_only_ = true;         ///< All columns.
    bool any_row_versions_ = false;  ///< In any block, ever.
    std::vector<Column> columns_;
    std::vector<std::byte*> blocks_;
    std::uint32_t hole_count_ = 0;
    std::vector<std::uint32_t> holes_;   ///< The first hole_count_: in the order they came.
    std::vector<std::uint32_t> movers_;  ///< Of settle(), kept for its memory.
    mutable std::vector<std::uint64_t> hole_bits_;  ///< A bit a row, of the first marked_ holes.
    mutable std::uint32_t marked_ = 0;
    IdMap column_of_;
    std::vector<std::pair<ComponentId, std::unique_ptr<Edge>>> edges_;
};

}  // namespace gyre::ecs::detail
