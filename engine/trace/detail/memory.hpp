#pragma once
#include <cstddef>
#include <cstdint>

namespace gyre::trace::detail {

/// Copies this process's own memory; false, never a fault, when not all of it can be read.
bool read_memory(std::uintptr_t address, void* to, std::size_t size) noexcept;
/// As much as can be read.
std::size_t read_some_memory(std::uintptr_t address, void* to, std::size_t size) noexcept;

}  // namespace gyre::trace::detail
