#pragma once
#include <elfutils/libdw.h>

#include <gyre/trace/frames.hpp>

namespace gyre::trace::detail {

/// Where a variable is.
struct Location {
    enum class Where { nowhere, memory, value } where = Where::nowhere;
    std::uint64_t bits = 0;  // address, or the value itself
};

/// Locations of the variables of one function in one frame.
class Locations {
public:
    /// address: of the frame, in the file whose address 0 is loaded at base.
    Locations(const FrameState& frame, std::uint64_t address, std::uintptr_t base,
              Dwarf_Die function);
    /// nowhere: the compiler removed it, or it takes what is not known of this frame.
    Location of(Dwarf_Die variable);

private:
    Location evaluate(Dwarf_Attribute* attribute, bool of_frame_base);
    Location run(Dwarf_Attribute* attribute, const Dwarf_Op* program, std::size_t count,
                 bool of_frame_base);
    bool reg(std::uint64_t number, std::uint64_t& value) const;

    const FrameState& frame_;
    std::uint64_t address_;
    std::uintptr_t base_;
    Location frame_base_;
};

}  // namespace gyre::trace::detail
