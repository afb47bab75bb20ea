#pragma once
#include <coroutine>
#include <exception>
#include <gyre/base/code.hpp>
#include <gyre/base/context.hpp>
#include <gyre/task/frame_pool.hpp>
#include <memory>
#include <new>
#include <source_location>
#include <utility>

namespace gyre {

namespace detail {
/// Told of each failure that goes from a task to who awaits it, and where; null: nobody wants to know.
extern constinit void (*failure_passed_await)(const std::exception_ptr& failure, const std::source_location& where) noexcept;

/// What a frame knows beside its locals: 24 bytes.
struct PromiseBase {
    enum class State : std::uint8_t { pending, succeeded, failed };
    PromiseBase* parent = nullptr;  // who awaits this task; null at the root of a chain
    union {
        std::source_location where;  // while pending: the co_await this task is at
        std::exception_ptr failure;
    };
    State state = State::pending;

    PromiseBase() noexcept : where() {}
    PromiseBase(const PromiseBase&) = delete;
    PromiseBase& operator=(const PromiseBase&) = delete;
    ~PromiseBase() {
        if (state == State::failed) std::destroy_at(&failure);
    }
    // Counted for the library that has the coroutine: it stays loaded while a frame lives.
    static void* operator new(std::size_t bytes) {
        void* const frame = allocate_frame(bytes);
        count_code(code_uses.frames, 1);
        return frame;
    }
    static void operator delete(void* frame, std::size_t bytes) {
        count_code(code_uses.frames, ~std::uint64_t{0});
        release_frame(frame, bytes);
    }

    /// Frames have one shape: two pointers, then the promise (Task checks its alignment).
    std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<PromiseBase>::from_promise(*this);
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
        bool await_ready() noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> done) noexcept {
            PromiseBase* waiter = done.promise().parent;
            return waiter ? waiter->handle() : end_chain();
        }
        void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept {
        fail(std::current_exception());
        if (parent) pass_failure(failure, *parent);
    }
    static void pass_failure(const std::exception_ptr& failure, const PromiseBase& to) noexcept;
    void fail(std::exception_ptr why) noexcept {
        std::construct_at(&failure, std::move(why));
        state = State::failed;
    }
    void throw_failure() const {
        if (state == State::failed) [[unlikely]] rethrow(failure);
    }
    [[noreturn]] static void rethrow(const std::exception_ptr& why);
    /// At the end of a chain's root. That chain is the running one.
    static std::coroutine_handle<> end_chain() noexcept;

    template <class A>
    A&& await_transform(A&& awaitable,
                        std::source_location here = std::source_location::current()) noexcept {
        where = here;
        return std::forward<A>(awaitable);
    }
};

template <class T>
struct Promise : PromiseBase {
    union {
        T value;
    };
    Promise() noexcept {}
    ~Promise() {
        if (state == State::succeeded) std::destroy_at(&value);
    }
    template <class U = T>
    void return_value(U&& v) {
        std::construct_at(&value, std::forward<U>(v));
        state = State::succeeded;
    }
    T take() {
        throw_failure();
        return std::move(value);
    }
};
template <>
struct Promise<void> : PromiseBase {
    void return_void() noexcept {}
    void take() { throw_failure(); }
};
}  // namespace detail

/// Work that waits. Lazy: it starts when awaited or given to go(). One awaiter; parameters by
/// value; a failure is thrown from the co_await. Cost: one pooled frame.
template <class T = void>
class [[nodiscard("a Task does nothing until it is awaited or given to go()")]] Task {
public:
    using value_type = T;
    struct promise_type : detail::Promise<T> {
        Task get_return_object() noexcept {
            static_assert(alignof(promise_type) <= 2 * sizeof(void*), "a task's value is at most 16-aligned");
            return Task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
    };
    using Handle = std::coroutine_handle<promise_type>;

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task& operator=(Task&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Task() {
        if (handle_) handle_.destroy();
    }
    Handle release() noexcept { return std::exchange(handle_, {}); }

    struct Awaiter {
        explicit Awaiter(Handle h) noexcept : handle(h) {}
        Handle handle;
        bool await_ready() noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
            handle.promise().parent = &waiter.promise();
            return handle;
        }
        T await_resume() { return handle.promise().take(); }
    };
    Awaiter operator co_await() && noexcept { return Awaiter(handle_); }

private:
    explicit Task(Handle handle) noexcept : handle_(handle) {}
    Handle handle_;
};

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<Task<T>> = true;

}  // namespace gyre
