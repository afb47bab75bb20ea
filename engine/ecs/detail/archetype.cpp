#include <gyre/base/assert.hpp>
#include <gyre/ecs/detail/archetype.hpp>

#include <algorithm>
#include <bit>

namespace gyre::ecs::detail {
namespace {
constexpr std::uint32_t alignment = BlockPool::alignment;
constexpr std::uint32_t first_block_rows = 16;
/// Keeps arrays of one block off the same page offset, where a load waits for another's store.
constexpr std::uint32_t stagger = 9 * alignment;

constexpr std::size_t prefetch_ahead = 8;

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

void Archetype::refresh() noexcept {
    bytes_only_ = true;
    for (Column& column : columns_) {
        column.bytes_only = !column.record->type.relocate && !column.record->type.destroy;
        bytes_only_ &= column.bytes_only;
    }
    for (const auto& edge : edges_) edge.second->from_rows = 0;  // planned anew by the next move
}

Archetype::~Archetype() {
    for (std::uint32_t b = 0; b < block_count(); ++b)
        for (std::uint32_t c = 0; c < columns_.size(); ++c)
            if (const auto destroy = columns_[c].record->type.destroy)
                each_run(b, [&](std::uint32_t begin, std::uint32_t count) {
                    destroy(value(block(b), c, begin), count);
                });
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

std::uint32_t Archetype::next(std::uint32_t at, std::uint32_t end, bool hole) const noexcept {
    while (at < end) {
        const std::size_t word = at >> 6;
        if (word >= hole_bits_.size()) return hole ? end : at;
        const std::uint64_t wanted =
            (hole ? hole_bits_[word] : ~hole_bits_[word]) >> (at & 63) << (at & 63);
        if (wanted != 0)
            return std::min(end, (at & ~63u) + static_cast<std::uint32_t>(std::countr_zero(wanted)));
        at = (at | 63) + 1;
    }
    return end;
}

void Archetype::more_holes() { holes_.resize(std::max<std::size_t>(64, holes_.size() * 2)); }

void Archetype::mark_holes() const {
    if (marked_ == hole_count_) return;
    const std::size_t words = (std::size_t{size_} + 63) / 64;
    if (hole_bits_.size() < words) hole_bits_.resize((std::size_t{capacity_} + 63) / 64);
    for (; marked_ < hole_count_; ++marked_)
        hole_bits_[holes_[marked_] >> 6] |= std::uint64_t{1} << (holes_[marked_] & 63);
}

/// Few by comparing, many by reading their bits.
void Archetype::sort_holes() {
    if (std::size_t{hole_count_} * 16 < hole_bits_.size()) {
        std::sort(holes_.begin(), holes_.begin() + hole_count_);
        return;
    }
    auto out = holes_.begin();
    for (std::size_t word = 0; word < hole_bits_.size(); ++word)
        for (std::uint64_t bits = hole_bits_[word]; bits != 0; bits &= bits - 1)
            *out++ = static_cast<std::uint32_t>(word * 64) +
                     static_cast<std::uint32_t>(std::countr_zero(bits));
}

void Archetype::settle(Slots& slots) {
    if (hole_count_ == 0) return;
    const std::uint32_t end = live();
    if (end != 0) {
        mark_holes();
        if (hole_count_ > 1) sort_holes();
    }
    const std::size_t inner =
        end == 0 ? 0
                 : static_cast<std::size_t>(std::lower_bound(holes_.begin(), holes_.begin() + hole_count_, end) -
                                            holes_.begin());
    // Rows of these go into the first `inner` holes.
    std::vector<std::uint32_t>& from = movers_;
    from.clear();
    for (std::uint32_t at = end; from.size() < inner; ++at) {
        at = next(at, size_, false);
        from.push_back(at);
    }
    for (std::size_t k = 0; k < inner; ++k) {
        if (k + prefetch_ahead < inner) slots.prefetch(row_at(from[k + prefetch_ahead]).index);
        const Row moved = row_at(from[k]);
        row_at(holes_[k]) = moved;
        slots[moved.index].row = holes_[k];
    }
    const bool by_block = !any_row_versions_;
    for (std::uint32_t c = 0; c < columns_.size(); ++c) {
        const Column column = columns_[c];
        std::byte* const* const blocks = blocks_.data();  // Locals: see move_values().
        const std::uint32_t shift = shift_, mask = full_ - 1;
        for (std::size_t k = 0; k < inner; ++k) {
            std::byte* const source = blocks[from[k] >> shift];
            std::byte* const target = blocks[holes_[k] >> shift];
            const std::uint32_t i = from[k] & mask, j = holes_[k] & mask;
            relocate(column, target + column.offset + std::size_t{j} * column.size,
                     source + column.offset + std::size_t{i} * column.size);
            if (!by_block || versions(source)[c] > versions(target)[c])
                set_version(target, c, j, row_version(source, c, i));
        }
    }
    if (std::size_t{marked_} * 16 < hole_bits_.size()) {
        for (std::uint32_t k = 0; k < marked_; ++k) hole_bits_[holes_[k] >> 6] = 0;
    } else {
        std::fill(hole_bits_.begin(), hole_bits_.end(), 0);
    }
    hole_count_ = marked_ = 0;
    size_ = end;
    while (capacity_ - size_ >= full_ * 2) {  // One empty block stays, so the border is not costly.
        delete_block(blocks_.back(), block_bytes_);
        blocks_.pop_back();
        capacity_ -= full_;
    }
}

void Archetype::destroy_owning_values(std::uint32_t row) noexcept {
    for (std::uint32_t c = 0; c < columns_.size(); ++c)
        if (!columns_[c].bytes_only)
            if (const auto destroy = columns_[c].record->type.destroy)
                destroy(value(block_of(row), c, in_block(row)), 1);
}

void Archetype::plan(const Edge& edge) const {
    edge.copies.clear();
    for (std::uint32_t c = 0; c < columns_.size(); ++c) {
        const std::uint32_t d = edge.map[c];
        if (d == no_column && columns_[c].bytes_only) continue;
        edge.copies.push_back({columns_[c].size, columns_[c].offset,
                               d == no_column ? 0 : edge.target->columns_[d].offset, c, d,
                               columns_[c].bytes_only});
    }
    edge.from_rows = block_rows_, edge.to_rows = edge.target->block_rows_;
}

void Archetype::move_values(std::uint32_t row, const Edge& edge, std::uint32_t to_row) noexcept {
    Archetype& target = *edge.target;
    if (edge.from_rows != block_rows_ || edge.to_rows != target.block_rows_) [[unlikely]]
        plan(edge);
    std::byte* const from = block_of(row);
    std::byte* const to = target.block_of(to_row);
    const std::uint32_t i = in_block(row), j = target.in_block(to_row);
    const std::uint64_t* const versions_from = versions(from);
    const std::uint64_t* const versions_to = target.versions(to);
    const bool by_block = !any_row_versions_ && !target.any_row_versions_ && j != 0;
    const Edge::Copy* const end = edge.copies.data() + edge.copies.size();
    for (const Edge::Copy* at = edge.copies.data(); at != end; ++at) {
        const Edge::Copy copy = *at;
        std::byte* const source = from + copy.from_offset + std::size_t{i} * copy.size;
        if (copy.bytes_only) [[likely]] {
            copy_bytes(to + copy.to_offset + std::size_t{j} * copy.size, source, copy.size);
        } else if (copy.to != no_column) {
            relocate_many(columns_[copy.from],
                          to + copy.to_offset + std::size_t{j} * copy.size, source, 1);
        } else {
            if (const auto destroy = columns_[copy.from].record->type.destroy) destroy(source, 1);
            continue;
        }
        if (!by_block || versions_from[copy.from] > versions_to[copy.to])
            target.start_version(to, copy.to, j, row_version(from, copy.from, i));
    }
}

}  // namespace gyre::ecs::detail
