#pragma once
#include <array>
#include <gyre/base/bytes.hpp>
#include <gyre/sim/link.hpp>
#include <map>
#include <string>
#include <vector>

namespace gyre::bench {

[[noreturn]] void refuse(const char* what);  ///< Says what the kernel does not let us, with errno; exits with 3.
int must(int result, const char* what);      ///< Refuses when result is negative.
TimePoint clock_now();

/// Two network namespaces of this process, each with a TUN device; what passes between them passes the model of a
/// link, in real time. Every port of the client has a link of its own. All vanishes with the process.
class TunLink {
public:
    static constexpr const char* server_address = "10.77.0.1";
    static constexpr const char* client_address = "10.77.0.2";

    /// Leaves the namespaces of the caller: only while there is one thread.
    TunLink(const sim::LinkConfig& up, const sim::LinkConfig& down, std::uint64_t seed);
    /// Sockets and processes made from now on are the server's, or the client's. First the server's.
    void enter_server() { tun_[1] = enter(server_address); }
    void enter_client() { tun_[0] = enter(client_address); }
    void measure() { measured_ = true; }  ///< Until then the delay of the link is all that is done.

    const std::array<int, 2>& devices() const { return tun_; }  ///< Of the client and the server; -1: not yet.
    void take(std::size_t end);  ///< What the kernel sends from there.
    void fire(TimePoint now);    ///< Hands over what has arrived.
    TimePoint next() const { return wire_.empty() ? TimePoint::max() : wire_.begin()->first; }

    std::size_t bytes() const { return bytes_; }      ///< Of IP packets since measure().
    std::size_t packets() const { return packets_; }
    std::vector<double>& lag_ms() { return lag_ms_; }  ///< How late packets were handed over.

private:
    static int enter(const char* address);
    sim::LinkModel& way(std::uint16_t port, std::size_t end);

    const sim::LinkConfig up_, down_;
    const std::uint64_t seed_;
    std::array<int, 2> tun_{-1, -1};
    bool measured_ = false;
    std::map<std::uint16_t, std::array<sim::LinkModel, 2>> ways_;  // Of ports of the client.
    std::multimap<TimePoint, std::pair<std::size_t, Bytes>> wire_;
    std::size_t bytes_ = 0, packets_ = 0;
    std::vector<double> lag_ms_;
};

}  // namespace gyre::bench
