#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gyre {

/// Values by a 64-bit id or hash that is not 0: a flat table, one cache line a lookup. Values move
/// when it grows. It has no order to walk in.
template <class V>
class IdMap {
public:
    V* find(std::uint64_t id) {
        const std::size_t at = place(id);
        return at == nowhere ? nullptr : &cells_[at].value;
    }
    const V* find(std::uint64_t id) const { return const_cast<IdMap*>(this)->find(id); }
    bool contains(std::uint64_t id) const { return find(id) != nullptr; }
    /// The value there is, or a new one; true when it is new.
    std::pair<V&, bool> insert(std::uint64_t id, V value) {
        if (4 * (size_ + 1) > 3 * cells_.size()) grow();
        std::size_t at = home(id);
        for (; cells_[at].id != 0; at = next(at))
            if (cells_[at].id == id) return {cells_[at].value, false};
        cells_[at].id = id;
        cells_[at].value = std::move(value);
        ++size_;
        return {cells_[at].value, true};
    }
    bool erase(std::uint64_t id) {
        std::size_t hole = place(id);
        if (hole == nowhere) return false;
        // What stands behind it and may stand here moves up, so that no mark of the dead is needed.
        for (std::size_t at = next(hole); cells_[at].id != 0; at = next(at)) {
            if (((at - home(cells_[at].id)) & mask()) < ((at - hole) & mask())) continue;
            cells_[hole] = std::move(cells_[at]);
            hole = at;
        }
        cells_[hole] = Cell{};
        --size_;
        return true;
    }
    std::size_t size() const { return size_; }
    template <class F>
    void each(F&& f) const {  ///< f(id, value), in no order: for what does not depend on one.
        for (const Cell& cell : cells_)
            if (cell.id != 0) f(cell.id, cell.value);
    }

private:
    struct Cell {
        std::uint64_t id = 0;
        V value{};
    };
    static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
    std::size_t place(std::uint64_t id) const {
        if (size_ == 0) return nowhere;
        for (std::size_t at = home(id);; at = next(at)) {
            if (cells_[at].id == id) return at;
            if (cells_[at].id == 0) return nowhere;
        }
    }
    std::size_t mask() const { return cells_.size() - 1; }
    std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
    std::size_t home(std::uint64_t id) const {
        return static_cast<std::size_t>((id * 0x9e3779b97f4a7c15u) >> 32) & mask();
    }
    void grow() {
        std::vector<Cell> old(cells_.empty() ? 8 : 2 * cells_.size());
        old.swap(cells_);
        size_ = 0;
        for (Cell& cell : old)
            if (cell.id != 0) insert(cell.id, std::move(cell.value));
    }
    std::vector<Cell> cells_;
    std::size_t size_ = 0;
};

}  // namespace gyre
