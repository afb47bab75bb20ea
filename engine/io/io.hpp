#pragma once
#include <functional>
#include <gyre/base/bytes.hpp>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <gyre/task/scope.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

namespace gyre::io {

/// A place on the network: numeric IPv4 or "localhost", and a port. Port 0: any free one.
struct Endpoint {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    /// "10.0.0.7:10001". Error: bad_arguments.
    static Result<Endpoint> parse(std::string_view text);
    std::string to_string() const { return host + ":" + std::to_string(port); }
    bool is_loopback() const { return host.starts_with("127.") || host == "localhost"; }
    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// What happens on a stream, told on the loop, outside of tasks.
class StreamHandler {
public:
    virtual ~StreamHandler() = default;
    /// The next bytes, any number of them; valid during the call only.
    virtual void on_data(BytesView bytes) = 0;
    /// The other side or the network ended it. The last call; the stream may be destroyed in it.
    /// Errors: disconnected (reset, end of stream), timed_out.
    virtual void on_closed(const Error& reason) = 0;
    /// What was written has left; called only after unsent_bytes() had been over 64 KiB.
    virtual void on_drained() {}
};

/// Ordered bytes to and from one peer. Use on its loop only. Destroying it closes it.
class Stream {
public:
    virtual ~Stream() = default;
    /// Begins to read. `handler` outlives the stream or its close(). Call once.
    virtual void start(StreamHandler& handler) = 0;
    /// Appends to the output, which is sent at the end of the loop turn, or each time 8 KiB are
    /// together. Never blocks: watch unsent_bytes().
    virtual void write(BytesView bytes) = 0;
    virtual void write(BytesView head, BytesView body) { write(head), write(body); }
    virtual std::size_t unsent_bytes() const = 0;
    /// Stops and resumes reading, so that the peer is pushed back by the transport.
    virtual void pause(bool paused) = 0;
    /// Sends what was written, for at most a second, then closes. The handler hears no more.
    virtual void close() noexcept = 0;
    virtual Endpoint peer() const = 0;
    virtual Endpoint local() const = 0;
};

class Listener {
public:
    virtual ~Listener() = default;  ///< Stops listening.
    virtual Endpoint local() const = 0;
};
using AcceptHandler = std::function<void(std::unique_ptr<Stream>)>;

namespace detail {
/// Work for a lane. Lives in the awaiting frame, which stays until the work has ended.
class Work : public Waiter {
public:
    Work() : Waiter(nullptr) {}
    virtual void run() noexcept = 0;  ///< On a pool thread (inline under the simulator).
    Work* next = nullptr;             ///< For the lane that holds it.
};
template <class F>
class LaneCall;
}  // namespace detail

struct LaneConfig {
    std::string name;
    std::size_t threads = 1;        ///< [1, 64].
    std::size_t queue_limit = 256;  ///< Waiting work beyond this ends `overloaded`.
    bool low_priority = false;      ///< Yields to everything else on the machine.
};

/// Threads for what blocks: files, databases, password hashes. Work of a lane with one thread
/// runs in the order of its calls. Destroying it waits for running work.
class Lane {
public:
    virtual ~Lane() = default;
    /// Runs `function` on the lane and resumes here with its result. It owns its inputs: capture
    /// by value. Not cancelled once queued. Error: overloaded.
    template <class F>
    Task<std::invoke_result_t<F&>> run(F function);
    virtual std::size_t waiting() const = 0;

protected:
    template <class>
    friend class detail::LaneCall;
    /// False when the queue is full. Otherwise runs it and then wakes it on the loop.
    virtual bool submit(detail::Work& work) = 0;
};

class DatagramSocket;

/// The one door to the world outside. Behind it stands the real loop or the simulator.
class Io {
public:
    virtual ~Io() = default;
    virtual Executor& executor() = 0;
    TimePoint now() { return executor().now(); }
    /// The clock itself, which goes on within a turn: to measure work, never to decide by.
    /// Simulated: now().
    virtual TimePoint measure_now() { return now(); }
    virtual WallTime wall_now() = 0;
    virtual void random(std::span<std::uint8_t> out) = 0;
    std::uint64_t random_u64() {
        std::uint64_t value = 0;
        random({reinterpret_cast<std::uint8_t*>(&value), sizeof value});
        return value;
    }
    /// Errors: in_use (names the address), refused, bad_arguments.
    virtual Result<std::unique_ptr<Listener>> listen(const Endpoint& at, AcceptHandler accepted) = 0;
    /// Errors: refused, timed_out, bad_arguments, cancelled.
    virtual Task<std::unique_ptr<Stream>> connect(Endpoint to, Duration limit) = 0;
    /// UDP (datagram.hpp). Errors: in_use (names the address), refused, bad_arguments.
    virtual Result<std::unique_ptr<DatagramSocket>> bind(const Endpoint& at) = 0;
    virtual std::unique_ptr<Lane> make_lane(LaneConfig config) = 0;
    /// Any thread: runs `action` on the loop, outside of tasks. Game code has no use for it.
    /// Simulated: from the simulation's own thread, and lost when the machine dies first.
    virtual void post(std::function<void()> action) = 0;
    /// Name of the SQLite file system to open databases with; empty: the machine's own.
    virtual std::string sqlite_vfs() = 0;
};

namespace detail {
/// One run() of a lane, in the frame that awaits it.
template <class F>
class LaneCall final : public Work {
public:
    using R = std::invoke_result_t<F&>;
    LaneCall(Lane& lane, F& function) : lane_(lane), function_(function) {}
    void run() noexcept override {
        try {
            if constexpr (std::is_void_v<R>) function_();
            else value_.emplace(function_());
        } catch (...) {
            failure_ = std::current_exception();
        }
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        waiting_ = &handle.promise();
        accepted_ = lane_.submit(*this);
        if (!accepted_) withdraw();
        return accepted_;
    }
    R await_resume() {
        if (!accepted_) throw Error(errc::overloaded, "the lane's queue is full");
        if (failure_) {
            gyre::detail::PromiseBase::pass_failure(failure_, *waiting_);
            std::rethrow_exception(failure_);
        }
        if constexpr (!std::is_void_v<R>) return std::move(*value_);
    }

private:
    Lane& lane_;
    F& function_;
    gyre::detail::PromiseBase* waiting_ = nullptr;
    std::optional<std::conditional_t<std::is_void_v<R>, char, R>> value_;
    std::exception_ptr failure_;
    bool accepted_ = false;
};
}  // namespace detail

template <class F>
Task<std::invoke_result_t<F&>> Lane::run(F function) {
    detail::LaneCall<F> call(*this, function);
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) co_await call;
    else co_return co_await call;
}

}  // namespace gyre::io
