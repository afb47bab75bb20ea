#pragma once
#include <gyre/ecs/row.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gyre::ecs {
class World;

/// Finds components that were written past their marks (through a reference kept, or where only
/// reading was declared), which changed() would therefore not report. For development builds and
/// tests: it keeps a copy of every plain value, and a hash of every other that has one.
class MarkCheck {
public:
    struct Missed {
        Row row;
        std::string component;
        std::uint32_t byte;  ///< Of the component: the first that differs; 0 for one that is hashed.
    };
    explicit MarkCheck(World& world) : world_(world) { look(); }
    /// What changed unmarked since the last look, in the order of iteration. Cost: O(all values).
    std::vector<Missed> look();

private:
    World& world_;
    std::uint64_t since_ = 0;
    std::map<std::pair<Row, std::uint64_t>, std::string> before_;
};

}  // namespace gyre::ecs
