#pragma once
#include <atomic>
#include <mutex>

#include "image.hpp"

namespace gyre::trace::detail {

/// The ELF files of this process.
class Process {
public:
    static Process& self();

    void changed() noexcept { changes_.fetch_add(1, std::memory_order_relaxed); }
    bool indexed() const noexcept {
        return seen_.load(std::memory_order_acquire) == changes_.load(std::memory_order_relaxed);
    }
    void index();

    /// To be held while an Image is used: libdw is of one thread. index() holds it only to put in what it has read.
    class Lock {
    public:
        explicit Lock(Process& process);
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;
        ~Lock();
        /// false: this thread has it already, and failed within (no memory): nothing may be asked.
        explicit operator bool() const { return held_; }

    private:
        Process& process_;
        const bool held_;
    };
    struct Found {
        const Image* image =
            nullptr;  ///< nullptr: not indexed, or no file; while the lock is held.
        std::string_view path, build_id;
        std::uint64_t address = 0;  ///< In the file.
    };
    /// Locked. Reads no file.
    Found find(std::uintptr_t pc);

private:
    struct Loaded {
        std::uintptr_t base = 0, begin = 0, end = 0;
        std::string path, build_id;
        bool tried = false;
        std::shared_ptr<Image> image;
        bool operator==(const Loaded& other) const {
            return base == other.base && begin == other.begin && path == other.path &&
                   build_id == other.build_id;
        }
    };
    void look();  // locked
    Process();

    std::string executable_;
    std::atomic<std::uint64_t> changes_{1}, seen_{0};
    std::mutex indexing_;  // before mutex_
    std::mutex mutex_;
    std::vector<Loaded> loaded_;  // by begin
    unsigned long long adds_ = 0, subs_ = 0;
};

}  // namespace gyre::trace::detail
