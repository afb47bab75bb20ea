#pragma once
#include <gyre/sim/detail/host.hpp>

namespace gyre::sim::detail {

struct Connection;
struct End;

/// One direction of a stream: what is unread, then under way, then unsent.
class Pipe : private Timer {
public:
    enum class Kind : std::uint8_t { data, accept, end, reset };
    Pipe(Core& core, End& from, End& to, const Random& random);

    void append(BytesView bytes) {
        if (!cut_) gyre::append(bytes_, bytes);
    }
    void send();  ///< Puts on the wire what the window admits.
    void push(Kind kind, std::size_t bytes = 0);
    BytesView take(std::size_t limit);  ///< Next arrived bytes, copied to the core's scratch.
    void discard_arrived() { consume(arrived_); }
    void discard_unsent() { bytes_.resize(head_ + sent_); }
    void discard_unarrived();
    void cut();     ///< A random part of what is under way arrives, the rest never.
    void resume();  ///< The way may be open again.
    std::size_t arrived() const { return arrived_; }
    std::size_t unsent() const { return bytes_.size() - head_ - sent_; }

private:
    struct Segment {
        TimePoint at;
        std::size_t bytes;
        Kind kind;
    };
    struct Opening : Timer {
        explicit Opening(Pipe& p);
        Pipe& pipe;
    };
    void consume(std::size_t count);
    void arrive();
    void deliver(Segment segment);
    void open();
    std::size_t chunk(std::size_t most);

    Core& core_;
    End& from_;
    End& to_;
    Random shape_, delay_, faults_;
    Bytes bytes_;
    std::size_t head_ = 0, arrived_ = 0, sent_ = 0;  // from head_; arrived_ <= sent_
    std::deque<Segment> segments_;
    TimePoint last_{}, busy_until_{};
    bool held_ = false;     // waits for a way
    bool blocked_ = false;  // waits for the window
    bool cut_ = false;      // what is written from now on is lost
    Opening opening_;
};

/// One side of a stream: the socket in the kernel. Ready: its process has something to hear.
struct End : Ready {
    End(Core& core, Connection& connection, Host& host, io::Endpoint local, End& other,
        const Random& random);

    void service();
    void flush();
    void close() noexcept;
    void notify();
    void die(Death death);  ///< Its process did.
    void turn_away();       ///< Nobody accepts it.
    void refuse();          ///< Nobody is there: the other side is reset.
    void arrive(Pipe::Kind kind);
    bool in_use() const { return stream != nullptr || waits_for_accept; }

    struct Flush : Ready {
        explicit Flush(End& e);
        End& end;
    };
    struct Linger : Timer {
        explicit Linger(End& e);
        End& end;
    };
    Core& core;
    Connection& connection;
    Host& host;
    io::Endpoint local;
    End& other;
    Pipe out;
    io::Stream* stream = nullptr;
    io::StreamHandler* handler = nullptr;
    Flush flushing;
    Linger linger;
    bool waits_for_accept = false, accepting = false;
    bool paused = false, closing = false, end_sent = false, over_high_water = false;
    bool ended = false, was_reset = false;  // by the other side
    bool dead = false;                      // its process is
};

struct Connection {
    Connection(Core& core, std::uint64_t serial, Host& client, io::Endpoint from, Host& server,
               io::Endpoint to, const Random& random);
    const std::uint64_t serial;
    End client, server;
};

/// Connects, which takes a round trip; returns the client's stream.
class Attempt : public Waiter {
public:
    Attempt(Core& core, Host& from, Host* to, io::Endpoint at, Duration limit);
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        begin();
    }
    std::unique_ptr<io::Stream> await_resume() {
        Waiter::await_resume();
        if (failure_) throw Error(*failure_);
        return std::move(stream_);
    }

private:
    struct Travel : Timer {
        explicit Travel(Attempt& a);
        Attempt& attempt;
    };
    struct Limit : Timer {
        explicit Limit(Attempt& a);
        Attempt& attempt;
    };
    void begin();
    void arrived();
    void asked();     ///< At the server.
    void answered();  ///< Back at the client.
    void fail(Error error);
    static void leave(Waiter& self);

    Core& core_;
    Host& from_;
    Host* to_;
    io::Endpoint at_;
    Duration limit_;
    Random random_;
    std::uint64_t deaths_;
    bool returning_ = false, refused_ = false;
    Travel travel_;
    Limit expiry_;
    std::optional<Error> failure_;
    std::unique_ptr<io::Stream> stream_;
};

}  // namespace gyre::sim::detail
