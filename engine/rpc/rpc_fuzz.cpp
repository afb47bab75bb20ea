#include <cstdlib>
#include <gyre/codec/codec.hpp>
#include <gyre/log/capture.hpp>
#include <gyre/rpc/connection.hpp>
#include <gyre/rpc/detail/scripted_channel.hpp>

using namespace gyre;
using namespace gyre::rpc;

namespace {
struct FuzzTarget : Target {
    void dispatch(const IncomingCall& call, Responder respond) override {
        if (!(*connection)->open()) std::abort();  // nothing is heard behind the end
        if (call.method.text.empty() || call.method.text.size() > 128) std::abort();
        if (!trusted && call.caller.entity != 5) std::abort();
        switch (call.method.id % 5) {
            case 0: return respond(Bytes(call.arguments.begin(), call.arguments.end()));
            case 1: return respond(Error(call.method.text, std::string(1000, 'x')));
            case 2: held.push_back(std::move(respond)); return;
            case 3: (*connection)->close(Error(errc::closed)); return;
            default: return;
        }
    }
    std::shared_ptr<Connection>* connection = nullptr;
    std::vector<Responder> held;
    bool trusted = false;
};
Task<> ask(std::shared_ptr<Connection> on) {
    const auto value = co_await as_result(on->call(1, {1, "T.a"}, Bytes{0x90}, {.limit = 1s}));
    if (value.ok()) (void)decode<std::vector<std::string>>(*value);
}

/// What the input says, byte for byte.
struct Script {
    BytesView left;
    std::uint8_t byte() {
        if (left.empty()) return 0;
        const std::uint8_t first = left[0];
        left = left.subspan(1);
        return first;
    }
    BytesView bytes(std::size_t n) {
        n = std::min(n, left.size());
        const BytesView taken = left.first(n);
        left = left.subspan(n);
        return taken;
    }
};

/// Ids of the calls that went out.
std::vector<std::uint64_t> asked(const rpc::detail::ScriptedChannel::Wire& wire) {
    std::vector<std::uint64_t> ids{0};
    for (const Bytes& frame : wire.sent) {
        Reader reader(frame);
        std::uint64_t kind = 0, id = 0;
        if (reader.integer(kind) && kind == 1 && reader.integer(id)) ids.push_back(id);
    }
    return ids;
}

enum Step : std::uint8_t { call = 240, result, error, cancel, ping, pong, bye, full, ask_more, tell, name, time_passes = 255 };

/// A frame whose shape is right and whose content the input chooses.
Bytes shaped(std::uint8_t step, Script& script, const rpc::detail::ScriptedChannel::Wire& wire) {
    Writer w;
    const auto ids = asked(wire);
    switch (step) {
        case call: {
            const std::uint8_t flags = script.byte(), method = script.byte();  // flag 4: a text gets no number
            w.unsigned_integer(1);
            w.unsigned_integer(script.byte());
            w.unsigned_integer(script.byte() % 8);
            if (method % 2)
                w.text("T.m" + std::to_string(method / 16));
            else
                w.unsigned_integer(method / 16);
            w.unsigned_integer(script.byte() * 10u);
            w.unsigned_integer(flags);
            if (flags & 2) w.unsigned_integer(script.byte()), w.unsigned_integer(script.byte());
            w.unsigned_integer(7);
            break;
        }
        case result:
        case error:
            w.unsigned_integer(step == result ? 2 : 3);
            w.unsigned_integer(ids[script.byte() % ids.size()]);
            if (step == error) {
                static constexpr const char* codes[] = {"not_found", "entity_moved", "cancelled", ""};
                w.text(codes[script.byte() % 4]);
                w.text(as_text(script.bytes(script.byte() % 32)));
            }
            break;
        case cancel:
            w.unsigned_integer(4);
            w.unsigned_integer(script.byte());
            break;
        case ping: w.unsigned_integer(5); break;
        case pong: w.unsigned_integer(6); break;
        case name:
            w.unsigned_integer(8);
            w.text("T.m" + std::to_string(script.byte() % 16));
            break;
        default:
            w.unsigned_integer(7);
            w.text("closed");
            w.text("");
    }
    // Arguments, a result, or what does not belong there.
    w.encoded(script.bytes(script.byte() % 64));
    return w.take();
}
}  // namespace

/// Any frames into a connection with calls both ways: a flag byte, then (length, frame) pairs; a
/// length from 240 on is a Step.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const log::Capture quiet(log::Level::error);
    if (size == 0) return 0;
    Script script{{data, size}};
    Executor executor;
    Scope scope(executor, "fuzz");
    rpc::detail::ScriptedChannel::Wire wire;
    FuzzTarget target;
    ConnectionConfig config;
    const std::uint8_t flags = script.byte();
    config.trusted = target.trusted = flags & 1;
    wire.keeps_order = !(flags & 2);
    config.stamp = {5, 6};
    config.max_incoming = 4;
    config.max_names = 3;
    config.cut_unsent_bytes = 1 << 20;
    std::shared_ptr<Connection> connection;
    target.connection = &connection;
    bool told = false;
    connection = Connection::open(executor, std::make_unique<rpc::detail::ScriptedChannel>(wire, 4096),
                                  config, target, [&](const Error&) {
                                      if (std::exchange(told, true)) std::abort();
                                  });
    for (int i = 0; i < 3; ++i) (void)go(scope, ask(connection));
    executor.turn(executor.now());
    for (int asks = 0; !script.left.empty() && connection->open();) {
        const std::uint8_t step = script.byte();
        if (step < call) {
            if (const BytesView frame = script.bytes(step); !frame.empty()) wire.arrive(frame);
        } else if (step == time_passes) {
            target.held.clear();
            executor.turn(executor.now() + 300ms);
        } else if (step == full) {
            wire.unsent = script.byte() % 3 * (3u << 20);
            if (wire.unsent == 0 && wire.handler) wire.handler->on_drained();
        } else if (step == ask_more && asks++ < 20) {
            (void)go(scope, ask(connection));
        } else if (step == tell) {
            const std::uint8_t how = script.byte();
            const Delivery delivery{static_cast<Order>(how % 4), static_cast<std::uint8_t>(how >> 4), Care::balanced};
            (void)connection->notify(script.byte() % 2, {script.byte() % 5u, "T.n", delivery}, Bytes{0x90});
        } else {
            wire.arrive(shaped(step, script, wire));
        }
        executor.turn(executor.now());
    }
    target.held.clear();
    connection->close(Error(errc::closed));
    executor.turn(executor.now());
    executor.turn(executor.now() + 2s);
    if (scope.running() != 0 || connection->pending_calls() != 0) std::abort();
    connection.reset();
    return 0;
}
