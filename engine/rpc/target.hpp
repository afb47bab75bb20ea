#pragma once
#include <functional>
#include <gyre/base/bytes.hpp>
#include <gyre/base/error.hpp>
#include <gyre/base/id.hpp>
#include <gyre/base/result.hpp>
#include <gyre/base/time.hpp>
#include <gyre/codec/writer.hpp>
#include <memory>
#include <string>

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
};

struct IncomingCall {
    EntityId entity = 0;  ///< 0: a service of this node.
    MethodName method;
    BytesView arguments;  ///< A msgpack array; valid during dispatch only.
    CallerId caller;
    TimePoint deadline = TimePoint::max();
    std::uint64_t trace = 0;
    Form form = Form::indexes;  ///< Of the reply.
};

/// Where the answer goes. Answer once; dropped unanswered, it answers `internal`.
class Responder {
public:
    class Sink {
    public:
        virtual ~Sink() = default;
        virtual void answer(std::uint64_t call, const Result<Bytes>& result) = 0;
    };
    Responder() = default;  ///< Of a notify: errors go to the log only.
    Responder(std::weak_ptr<Sink> sink, std::uint64_t call) : sink_(std::move(sink)), call_(call) {}
    Responder(Responder&& other) noexcept
        : sink_(std::move(other.sink_)), call_(std::exchange(other.call_, 0)) {}
    Responder& operator=(Responder&&) = delete;
    ~Responder() {
        if (call_) (*this)(Error(errc::internal, "the call was dropped"));
    }
    bool wanted() const { return call_ != 0; }
    void operator()(const Result<Bytes>& result) {
        const std::uint64_t call = std::exchange(call_, 0);
        const auto sink = call ? sink_.lock() : nullptr;
        if (!sink) return;
        // The callee was cancelled, not its caller, who would take it for its own end.
        if (!result && result.error().is(errc::cancelled))
            sink->answer(call, Error(errc::disconnected, "the callee ended while the call ran"));
        else
            sink->answer(call, result);
    }

private:
    std::weak_ptr<Sink> sink_;
    std::uint64_t call_ = 0;
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
