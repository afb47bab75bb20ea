#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/base/time.hpp>
#include <gyre/net/link_stats.hpp>
#include <memory>
#include <optional>
#include <string>

// What carries messages between two ends over a simulated link, in virtual time.
namespace gyre::bench {

enum class End : std::uint8_t { client, server };
constexpr End other(End end) { return end == End::client ? End::server : End::client; }

/// The link, and who hears of messages.
class Surroundings {
public:
    virtual void transmit(End from, BytesView datagram) = 0;
    virtual void deliver(End at, BytesView message) = 0;

protected:
    ~Surroundings() = default;
};

/// A pair of ends. Calls come with a clock that never goes back.
class Contender {
public:
    virtual ~Contender() = default;
    virtual void clock(TimePoint now) = 0;     ///< Before what happens at `now`.
    virtual bool ready() = 0;                  ///< Both ends may send.
    virtual void send(End from, BytesView message) = 0;
    virtual void arrive(End at, BytesView datagram) = 0;
    virtual TimePoint step() = 0;              ///< After it; returns when the next step is due.
    virtual void rebind() {}                   ///< The client has another port from now on.
    virtual std::optional<net::LinkStats> stats(End) { return std::nullopt; }
    virtual std::string failure() { return {}; }  ///< Not empty: an end gave up.
};

/// kcp, kcp_first, replay, enet, or rudp with any of economy, balanced, urgent; bitmap, list; off, copies, coded;
/// unordered, as in rudp_urgent_list. Null: there is no such contender (in this build).
std::unique_ptr<Contender> make_contender(const std::string& name, Surroundings& around, std::uint64_t seed);

std::unique_ptr<Contender> make_port_contender(const std::string& name, Surroundings& around, std::uint64_t seed);
std::unique_ptr<Contender> make_replay_contender(Surroundings& around);
std::unique_ptr<Contender> make_enet_contender(Surroundings& around);

}  // namespace gyre::bench
