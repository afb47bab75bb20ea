#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace gyre {

/// What of the code of one library is alive: while any of it is, the library must stay loaded.
struct CodeUses {
    std::atomic<std::uint64_t> frames{0};    ///< Coroutine frames.
    std::atomic<std::uint64_t> closures{0};  ///< Closures the engine keeps (CodePin).

    std::uint64_t all() const {
        return frames.load(std::memory_order_relaxed) + closures.load(std::memory_order_relaxed);
    }
};

namespace detail {
/// One for each library: hidden, so that code counts in the one it is in. Only the counts of modules
/// are looked at, and their code runs on one thread: no read-modify-write is needed.
__attribute__((visibility("hidden"))) inline constinit CodeUses code_uses;

inline void count_code(std::atomic<std::uint64_t>& uses, std::uint64_t by) noexcept {
    uses.store(uses.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}
}  // namespace detail

/// Beside a closure that outlives the call it was given to: keeps its code loaded. It counts for the
/// library in which it is constructed, so that must happen in a template or inline function.
class CodePin {
public:
    CodePin() noexcept : uses_(&detail::code_uses) { detail::count_code(uses_->closures, 1); }
    explicit CodePin(std::nullptr_t) noexcept : uses_(nullptr) {}  ///< Of nothing.
    CodePin(const CodePin& other) noexcept : uses_(other.uses_) {
        if (uses_) detail::count_code(uses_->closures, 1);
    }
    CodePin& operator=(const CodePin& other) noexcept {
        CodePin copy(other);
        std::swap(uses_, copy.uses_);
        return *this;
    }
    ~CodePin() {
        if (uses_) detail::count_code(uses_->closures, ~std::uint64_t{0});
    }

private:
    CodeUses* uses_;
};

/// A closure that the engine keeps, and the pin of its code. An empty one pins nothing.
class Action {
public:
    Action() = default;
    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, Action> && std::is_invocable_v<F&>)
    Action(F&& what) : run_(std::forward<F>(what)), pin_() {}
    explicit operator bool() const noexcept { return run_ != nullptr; }
    void operator()() const { run_(); }

private:
    std::function<void()> run_;
    CodePin pin_{nullptr};
};

}  // namespace gyre
