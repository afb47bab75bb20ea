#include <cstdlib>
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
    (void)co_await as_result(on->call(1, {1, "T.a"}, Bytes{0x90}, {.limit = 1s}));
}
}  // namespace

/// Any frames into a connection with calls both ways: a flag byte, then (length, frame) pairs.
/// A length of 255 lets time pass instead.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const log::Capture quiet(log::Level::error);
    if (size == 0) return 0;
    BytesView bytes(data, size);
    Executor executor;
    Scope scope(executor, "fuzz");
    rpc::detail::ScriptedChannel::Wire wire;
    FuzzTarget target;
    ConnectionConfig config;
    config.trusted = target.trusted = bytes[0] & 1;
    config.stamp = {5, 6};
    config.max_incoming = 4;
    config.max_names = 3;
    bytes = bytes.subspan(1);
    std::shared_ptr<Connection> connection;
    target.connection = &connection;
    bool told = false;
    connection = Connection::open(executor, std::make_unique<rpc::detail::ScriptedChannel>(wire, 4096),
                                  config, target, [&](const Error&) {
                                      if (std::exchange(told, true)) std::abort();
                                  });
    for (int i = 0; i < 3; ++i) (void)go(scope, ask(connection));
    while (!bytes.empty() && connection->open()) {
        const std::size_t length = std::min<std::size_t>(bytes[0], bytes.size() - 1);
        if (bytes[0] == 255) {
            target.held.clear();
            executor.turn(executor.now() + 300ms);
            bytes = bytes.subspan(1);
            continue;
        }
        if (length > 0) wire.arrive(bytes.subspan(1, length));
        bytes = bytes.subspan(1 + length);
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
