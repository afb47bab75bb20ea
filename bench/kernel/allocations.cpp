#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace {
constinit thread_local std::uint64_t count = 0;
void* counted(std::size_t size) {
    ++count;
    if (void* at = std::malloc(size)) return at;
    throw std::bad_alloc();
}
void* counted(std::size_t size, std::align_val_t align) {
    ++count;
    const auto to = static_cast<std::size_t>(align);
    if (void* at = std::aligned_alloc(to, (size + to - 1) / to * to)) return at;
    throw std::bad_alloc();
}
}  // namespace

std::uint64_t kernel_bench::allocations() { return count; }

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, std::align_val_t align) { return counted(size, align); }
void* operator new[](std::size_t size, std::align_val_t align) { return counted(size, align); }
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
