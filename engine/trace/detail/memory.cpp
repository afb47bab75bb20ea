#include "memory.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace gyre::trace::detail {
namespace {

constexpr std::uintptr_t page_bytes = 4096;

std::size_t read_page(std::uintptr_t address, void* to, std::size_t size) noexcept {
    // A system-call filter may refuse the first way.
    static std::atomic<bool> refused = false;
    if (!refused.load(std::memory_order_relaxed)) {
        iovec local{to, size}, remote{reinterpret_cast<void*>(address), size};
        const ssize_t read = ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0);
        if (read >= 0) return static_cast<std::size_t>(read);
        if (errno != EPERM && errno != ENOSYS) return 0;
        refused.store(true, std::memory_order_relaxed);
    }
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (memory < 0) return 0;
    const ssize_t read = ::pread(memory, to, size, static_cast<off_t>(address));
    ::close(memory);
    return read > 0 ? static_cast<std::size_t>(read) : 0;
}

}  // namespace

std::size_t read_some_memory(std::uintptr_t address, void* to, std::size_t size) noexcept {
    std::size_t done = 0;
    while (done < size) {
        const std::uintptr_t at = address + done;
        if (at < page_bytes || at > UINTPTR_MAX / 2) break;
        const std::size_t part =
            std::min(size - done, static_cast<std::size_t>(page_bytes - at % page_bytes));
        const std::size_t read = read_page(at, static_cast<char*>(to) + done, part);
        done += read;
        if (read < part) break;
    }
    return done;
}

bool read_memory(std::uintptr_t address, void* to, std::size_t size) noexcept {
    return read_some_memory(address, to, size) == size;
}

}  // namespace gyre::trace::detail
