#pragma once
#include <gyre/metric/registry.hpp>
#include <gyre/rpc/target.hpp>
#include <gyre/session/server.hpp>

namespace gyre::session::detail {

struct Metrics {
    explicit Metrics(metric::Registry& registry);
    metric::Registry& registry;
    metric::Gauge& sessions;
    metric::Gauge& pending;
    metric::Counter& calls;
    metric::Counter& calls_limited;
    metric::Counter& pushes;
    metric::Counter& pushes_dropped;
    void handshake(std::string_view result);
    void closed(std::string_view reason);
};

/// What a session sees of its server.
struct Home {
    Home(Executor& e, rpc::Target& t, ServerConfig c, metric::Registry& registry)
        : executor(e), target(t), config(std::move(c)), metrics(registry) {}
    virtual ~Home() = default;
    virtual void end(std::uint64_t session, const Error& reason) = 0;
    Executor& executor;
    rpc::Target& target;
    ServerConfig config;  ///< Constant, but for the limits.
    Metrics metrics;
};

}  // namespace gyre::session::detail
