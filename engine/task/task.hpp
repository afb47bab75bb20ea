#pragma once
#include <coroutine>
#include <exception>
#include <gyre/base/context.hpp>
#include <gyre/task/frame_pool.hpp>
#include <optional>
#include <source_location>
#include <utility>

namespace gyre {

struct Chain;

namespace detail {
struct PromiseBase {
    std::coroutine_handle<> waiter{};   // who awaits this task; null at the root of a chain
    PromiseBase* parent = nullptr;      // the same as a promise, for await chains in logs
    Chain* root = nullptr;              // set at the root only
    std::source_location where{};       // the co_await this task is at
    std::exception_ptr failure;

    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* frame, std::size_t bytes) { release_frame(frame, bytes); }

    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
        bool await_ready() noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> done) noexcept {
            PromiseBase& promise = done.promise();
            return promise.waiter ? promise.waiter : promise.end_chain();
        }
        void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept { failure = std::current_exception(); }
    std::coroutine_handle<> end_chain() noexcept;

    template <class A>
    A&& await_transform(A&& awaitable,
                        std::source_location here = std::source_location::current()) noexcept {
        where = here;
        return std::forward<A>(awaitable);
    }
};

template <class T>
struct Promise : PromiseBase {
    std::optional<T> value;
    template <class U = T>
    void return_value(U&& v) {
        value.emplace(std::forward<U>(v));
    }
    T take() {
        if (failure) std::rethrow_exception(failure);
        return std::move(*value);
    }
};
template <>
struct Promise<void> : PromiseBase {
    void return_void() noexcept {}
    void take() {
        if (failure) std::rethrow_exception(failure);
    }
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
            handle.promise().waiter = waiter;
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
