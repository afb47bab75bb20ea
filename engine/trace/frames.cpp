#include <gyre/trace/frames.hpp>
#include <unwind.h>

namespace gyre::trace {
namespace {

struct Walk {
    std::span<FrameState> out;
    std::size_t skip, count = 0;
    bool pending = false;  // the last one waits for its frame address: the stack pointer of its caller
};

_Unwind_Reason_Code step(_Unwind_Context* context, void* argument) {
    auto& walk = *static_cast<Walk*>(argument);
    const auto stack = static_cast<std::uintptr_t>(_Unwind_GetCFA(context));
    if (walk.pending) {
        walk.out[walk.count - 1].cfa = stack;
        walk.pending = false;
    }
    if (walk.skip > 0) {
        --walk.skip;
        return _URC_NO_REASON;
    }
    if (walk.count == walk.out.size()) return _URC_END_OF_STACK;
    int before_instruction = 0;
    const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before_instruction));
    if (pc == 0) return _URC_END_OF_STACK;
    FrameState& frame = walk.out[walk.count++];
    frame = {};
    frame.pc = before_instruction ? pc : pc - 1;
    // Only what a callee has to keep is known of a frame above: rbx, rbp, r12 to r15.
    for (const int number : {3, 6, 12, 13, 14, 15}) {
        frame.registers[number] = static_cast<std::uintptr_t>(_Unwind_GetGR(context, number));
        frame.known |= 1u << number;
    }
    frame.registers[7] = stack;
    frame.registers[16] = pc;
    frame.known |= 1u << 7 | 1u << 16;
    walk.pending = true;
    return _URC_NO_REASON;
}

}  // namespace

[[gnu::noinline]] std::size_t capture(std::span<FrameState> out, std::size_t skip) noexcept {
    Walk walk{out, skip + 1};
    _Unwind_Backtrace(&step, &walk);
    return walk.count;
}

}  // namespace gyre::trace
