#pragma once
#include <cstdint>

namespace kernel_bench {
/// Calls of operator new by this thread. A program that links allocations.cpp counts all of its own
/// and of the libraries it loads.
std::uint64_t allocations();
}  // namespace kernel_bench
