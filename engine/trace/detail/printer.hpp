#pragma once
#include <chrono>
#include <gyre/trace/locals.hpp>

#include "layout.hpp"

namespace gyre::trace::detail {

/// Where a value lies: in memory, or in bytes that are given.
struct Bytes {
    std::uintptr_t address = 0;
    const unsigned char* given = nullptr;
    std::size_t size = 0;  // of those given
    bool read(std::uint64_t offset, void* to, std::size_t count) const;
    Bytes at(std::uint64_t offset) const;
};

bool looks_secret(std::string_view name);

/// Values of any type as text, within limits.
class Printer {
public:
    Printer(Layouts& layouts, const LocalsLimits& limits);

    /// false: no more room or time.
    bool variable(std::string_view prefix, std::string_view name, const Dwarf_Die& type,
                  const Bytes& at);
    /// What the object of a lambda holds, as variables of their own.
    bool is_lambda(const Dwarf_Die& pointer_type);
    bool captures(const Dwarf_Die& pointer_type, const Bytes& at);
    bool has_time();
    std::string take();

private:
    struct Level {
        std::size_t depth, follow;
    };
    void value(const Dwarf_Die& type, const Bytes& at, Level level);
    void scalar(const Layout& layout, const Bytes& at);
    void pointer(const Layout& layout, const Bytes& at, Level level, bool smart);
    void structure(const Layout& layout, const Bytes& at, Level level);
    bool members(const Layout& layout, const Bytes& at, Level level, bool& first, int bases);
    void bit_field(const Layout& layout, const Member& member, const Bytes& at);
    void elements(const Bytes& at, const Dwarf_Die& type, std::uint64_t count, Level level);
    void array(const Layout& layout, std::size_t dimension, const Bytes& at, Level level);
    /// The elements of a tuple, the last one first.
    void heads(const Layout& layout, std::uint64_t offset, int depth,
               std::vector<std::pair<std::uint64_t, Dwarf_Die>>& to);
    void vector(const Layout& layout, const Bytes& at, Level level);
    void tuple(const Layout& layout, const Bytes& at, Level level);
    void string(const Layout& layout, const Bytes& at, const char* data, const char* length);
    void text(const Bytes& at, std::uint64_t size, bool until_zero);
    void integer(const Layout& layout, std::uint64_t bits);
    template <class T>
    bool member(const Layout& layout, const Bytes& at, std::string_view name, T& to);
    void add(std::string_view text);
    bool full() const { return cut_; }

    Layouts& layouts_;
    LocalsLimits limits_;
    std::chrono::steady_clock::time_point end_;
    std::string out_;
    std::size_t room_ = 0;  // out_ may grow up to here
    bool cut_ = false, late_ = false;
};

}  // namespace gyre::trace::detail
