#pragma once
#include <functional>
#include <gyre/base/bytes.hpp>
#include <gyre/base/delivery.hpp>
#include <gyre/base/error.hpp>
#include <gyre/base/id.hpp>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <gyre/codec/writer.hpp>
#include <string_view>
#include <utility>

namespace gyre::rpc {

/// For whom a call is made: stamped by the gate, checked by the callee.
struct CallerId {
    EntityId entity = 0;        ///< The client's avatar (or player) in front of the gate.
    std::uint64_t session = 0;  ///< Not 0: a client.
    bool is_client() const { return session != 0; }
};

/// One method of one described type: how it is named on the wire.
struct MethodName {
    std::uint64_t id = 0;   ///< hash_method(type, method).
    std::string_view text;  ///< "Type.method"
    Delivery delivery{};    ///< Of a one-way call.
};

struct IncomingCall {
    EntityId entity = 0;  ///< 0: a service of this node.
    MethodName method;
    BytesView arguments;  ///< A msgpack array; valid during dispatch only.
    CallerId caller;
    TimePoint deadline = TimePoint::max();
    std::uint64_t trace = 0;
    Form form = Form::indexes;  ///< Of the reply.
    bool forwarded = false;     ///< By the node where it was looked for first: not once more.
};

/// Where the answer goes. Answer once; dropped unanswered, it answers `internal`.
class Responder {
    struct Door;

public:
    /// The caller's end. It may be gone when the answer comes. Use on one thread.
    class Sink {
    public:
        virtual void fail(std::uint64_t call, const Error& error) = 0;
        /// A result in place: one msgpack value is written, then end_result(). Nothing else
        /// happens in between.
        virtual Writer& begin_result(std::uint64_t call) = 0;
        virtual void end_result(std::uint64_t call) = 0;

    protected:
        Sink() : door_(new Door(this)) {}
        ~Sink() {
            door_->sink = nullptr;
            leave(door_);
        }
        Sink(const Sink&) = delete;

    private:
        friend class Responder;
        Door* door_;
    };
    Responder() = default;  ///< Of a notify: errors go to the log only.
    Responder(Sink& sink, std::uint64_t call) : door_(sink.door_), call_(call) {
        ++door_->references;
    }
    Responder(Responder&& other) noexcept
        : door_(std::exchange(other.door_, nullptr)), call_(std::exchange(other.call_, 0)) {}
    Responder& operator=(Responder&&) = delete;
    ~Responder() {
        if (call_) dropped();
        if (door_) leave(door_);
    }
    bool wanted() const { return call_ != 0; }
    std::uint64_t call() const { return call_; }  ///< Its number on its link; 0: a notify.
    void operator()(const Error& error);
    /// Whole msgpack values as they are; empty: nil.
    void operator()(BytesView encoded);
    template <class T>
        requires std::is_same_v<T, Result<Bytes>>
    void operator()(const T& result) {
        if (result) (*this)(BytesView(*result));
        else (*this)(result.error());
    }
    /// Calls write(Writer&), which writes one value.
    template <class F>
    void write_result(F&& write) {
        if (Sink* sink = take()) {
            write(sink->begin_result(answered_));
            sink->end_result(answered_);
        }
    }

private:
    /// Outlives the sink for as long as somebody may still answer.
    struct Door {
        explicit Door(Sink* s) : sink(s) {}
        Sink* sink;
        std::uint32_t references = 1;
    };
    static void leave(Door* door) {
        if (--door->references == 0) delete door;
    }
    Sink* take() {
        answered_ = std::exchange(call_, 0);
        return answered_ ? door_->sink : nullptr;
    }
    void dropped();
    Door* door_ = nullptr;
    std::uint64_t call_ = 0;
    std::uint64_t answered_ = 0;
};

/// What answers calls: the entities and services of a node, or a client's handlers.
class Target {
public:
    virtual ~Target() = default;
    virtual void dispatch(const IncomingCall& call, Responder respond) = 0;
    /// This entity is here: a call to it needs no link.
    virtual bool owns(EntityId) const { return false; }
};

}  // namespace gyre::rpc
