#include <gyre/base/assert.hpp>
#include <gyre/ecs/detail/archetype.hpp>

#include <algorithm>

namespace gyre::ecs::detail {
namespace {
constexpr std::uint32_t alignment = BlockPool::alignment;
constexpr std::uint32_t first_block_rows = 16;
/// Keeps arrays of one block off the same page offset, where a load waits for another's store.
constexpr std::uint32_t stagger = 9 * alignment;

constexpr std::uint32_t aligned(std::uint32_t offset) {
    return (offset + alignment - 1) / alignment * alignment;
}
/// Small first blocks are not.
constexpr bool pooled(std::uint32_t bytes) { return bytes >= 64 * 1024; }
}  // namespace

Archetype::Archetype(std::uint32_t index, std::vector<ComponentRecord*> sorted_by_id,
                     BlockPool& pool)
    : pool_(pool), index_(index) {
    std::uint32_t row_bytes = sizeof(Row);
    for (ComponentRecord* record : sorted_by_id) {
        const ComponentType& type = record->type;
        column_of_.insert(type.id, static_cast<std::uint32_t>(columns_.size()));
        columns_.push_back({type.id, record, type.size, 0, !type.relocate && !type.destroy});
        hooked_ |= !record->added.empty() || !record->removed.empty();
        bytes_only_ &= columns_.back().bytes_only;
        row_bytes += type.size;
    }
    full_ = 16;
    shift_ = 4;
    while (full_ * 2 * row_bytes <= BlockPool::full_bytes) full_ *= 2, ++shift_;
}

Archetype::~Archetype() {
    for (std::uint32_t b = 0; b < block_count(); ++b)
        for (const Column& column : columns_)
            if (column.record->type.destroy)
                column.record->type.destroy(block(b) + column.offset, rows_in(b));
    for (std::byte* block : blocks_) delete_block(block, block_bytes_);
}

void Archetype::lay_out(std::uint32_t block_rows) {
    block_rows_ = block_rows;
    rows_offset_ = aligned(static_cast<std::uint32_t>(columns_.size() * 2 * sizeof(std::uint64_t)));
    std::uint32_t at = rows_offset_ + aligned(block_rows * std::uint32_t{sizeof(Row)});
    for (Column& column : columns_) {
        if (column.size == 0) continue;  // A tag's address is the block's: valid, never read.
        column.offset = at;
        at += aligned(block_rows * column.size) + (block_rows == full_ ? stagger : 0);
    }
    block_bytes_ = at;
}

std::byte* Archetype::new_block() const {
    auto* block =
        pooled(block_bytes_)
            ? pool_.take(block_bytes_)
            : static_cast<std::byte*>(::operator new(block_bytes_, std::align_val_t{alignment}));
    std::memset(block, 0, rows_offset_);
    return block;
}

void Archetype::delete_block(std::byte* block, std::uint32_t bytes) const noexcept {
    for (std::size_t c = 0; c < columns_.size(); ++c) delete[] row_version_arrays(block)[c];
    if (pooled(bytes)) {
        pool_.give(block, bytes);
    } else {
        ::operator delete(block, std::align_val_t{alignment});
    }
}

std::uint64_t* Archetype::own_row_versions(std::byte* block, std::uint32_t column) {
    std::uint64_t*& each = row_version_arrays(block)[column];
    if (!each) each = new std::uint64_t[block_rows_]();
    any_row_versions_ = true;
    return each;
}

void Archetype::relocate_many(const Column& column, std::byte* to, std::byte* from,
                              std::size_t count) noexcept {
    if (column.record->type.relocate) {
        column.record->type.relocate(to, from, count);
    } else if (column.size != 0) {
        std::memcpy(to, from, count * column.size);
    }
}

void Archetype::grow() {
    GYRE_ASSERT(capacity_ < 0x80000000u, "ecs: more than 2^31 rows of one kind");
    if (blocks_.empty()) {
        lay_out(std::min(first_block_rows, full_));
        blocks_.push_back(new_block());
        capacity_ = block_rows_;
    } else if (block_rows_ == full_) {
        blocks_.push_back(nullptr);
        blocks_.back() = new_block();
        capacity_ += full_;
    } else {  // One small block: move it into one twice as large.
        std::byte* old = blocks_[0];
        const std::uint32_t old_bytes = block_bytes_;
        const std::vector<Column> old_columns = columns_;
        const Row* old_rows = rows(old);
        lay_out(block_rows_ * 2);
        std::byte* block = new_block();
        std::memcpy(rows(block), old_rows, size_ * sizeof(Row));
        for (std::uint32_t c = 0; c < columns_.size(); ++c) {
            relocate_many(columns_[c], block + columns_[c].offset, old + old_columns[c].offset,
                          size_);
            versions(block)[c] = versions(old)[c];
            if (const std::uint64_t* each = row_version_arrays(old)[c])
                std::copy_n(each, size_, own_row_versions(block, c));
        }
        blocks_[0] = block;
        delete_block(old, old_bytes);
        capacity_ = block_rows_;
    }
}

void Archetype::reserve(std::uint32_t more) {
    if (size_ == 0 && blocks_.empty() && more > first_block_rows) {  // Straight to the right size.
        std::uint32_t wanted = first_block_rows;
        while (wanted < more && wanted < full_) wanted *= 2;
        lay_out(wanted);
        blocks_.push_back(new_block());
        capacity_ = block_rows_;
    }
    while (capacity_ - size_ < more) grow();
}

Row Archetype::fill(std::uint32_t hole) {
    const std::uint32_t last = --size_;
    Row moved;
    if (hole != last) {
        std::byte* const from = block_of(last);
        std::byte* const to = block_of(hole);
        const std::uint32_t i = in_block(last), j = in_block(hole);
        moved = rows(to)[j] = rows(from)[i];
        // Locals: what is stored below are bytes, which might be anything else for the compiler.
        const Column* const columns = columns_.data();
        const std::size_t count = columns_.size();
        const std::uint64_t* const versions_to = versions(to);
        const std::uint64_t* const versions_from = versions(from);
        const bool by_block = !any_row_versions_;
        for (std::uint32_t c = 0; c < count; ++c) {
            const Column column = columns[c];
            relocate(column, to + column.offset + std::size_t{j} * column.size,
                     from + column.offset + std::size_t{i} * column.size);
            if (!by_block || versions_from[c] > versions_to[c])
                set_version(to, c, j, row_version(from, c, i));
        }
    }
    if (capacity_ - size_ >= full_ * 2) {  // One empty block stays, so the border is not costly.
        delete_block(blocks_.back(), block_bytes_);
        blocks_.pop_back();
        capacity_ -= full_;
    }
    return moved;
}

void Archetype::destroy_owning_values(std::uint32_t row) noexcept {
    for (std::uint32_t c = 0; c < columns_.size(); ++c)
        if (!columns_[c].bytes_only)
            if (const auto destroy = columns_[c].record->type.destroy)
                destroy(value(block_of(row), c, in_block(row)), 1);
}

void Archetype::move_values(std::uint32_t row, const Edge& edge, std::uint32_t to_row) noexcept {
    Archetype& target = *edge.target;
    std::byte* const from = block_of(row);
    std::byte* const to = target.block_of(to_row);
    const std::uint32_t i = in_block(row), j = target.in_block(to_row);
    const Column* const columns = columns_.data();
    const Column* const target_columns = target.columns_.data();
    const std::uint32_t* const map = edge.map.data();
    const std::uint64_t* const versions_from = versions(from);
    const std::uint64_t* const versions_to = versions(to);
    const bool by_block = !any_row_versions_ && !target.any_row_versions_ && j != 0;
    const std::size_t count = columns_.size();
    for (std::uint32_t c = 0; c < count; ++c) {
        const std::uint32_t d = map[c];
        const Column column = columns[c];
        std::byte* const source = from + column.offset + std::size_t{i} * column.size;
        if (d != no_column) {
            relocate(column, to + target_columns[d].offset + std::size_t{j} * column.size, source);
            if (!by_block || versions_from[c] > versions_to[d])
                target.start_version(to, d, j, row_version(from, c, i));
        } else if (!column.bytes_only) {
            if (const auto destroy = column.record->type.destroy) destroy(source, 1);
        }
    }
}

}  // namespace gyre::ecs::detail
