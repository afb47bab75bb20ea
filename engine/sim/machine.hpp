#pragma once
#include <gyre/io/datagram.hpp>

namespace gyre::sim {
namespace detail {
struct Host;
}

/// What dies with a kill.
enum class Death {
    process,  ///< The kernel lives: what was sent arrives, peers see a reset, files stay.
    machine,  ///< Peers see silence, until it restarts; unsynced writes are forgotten.
};

/// How one machine's disk fails. May be changed at any time.
struct DiskConfig {
    std::uint64_t capacity_bytes = ~std::uint64_t{0};  ///< Beyond: SQLITE_FULL.
    double read_failure_probability = 0;               ///< Per call, as the next two.
    double write_failure_probability = 0;
    double sync_failure_probability = 0;
    double unsynced_survival = 0;  ///< Share of unsynced writes that outlives the machine.
};

/// One simulated machine with one process: the io door of what runs on it.
/// A frozen or dead machine runs nothing. World::run() on a dead one runs its remains, so that
/// scopes can be closed: nothing they do has an effect outside. End what ran on it before restart.
class Machine final : public io::Io {
public:
    explicit Machine(detail::Host& host) : host_(host) {}  ///< Made by World::machine().
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    const std::string& name() const;
    const std::string& address() const;
    /// For tasks of the test that run on this machine; cancelled by kill().
    Scope& scope();

    void kill(Death death = Death::process);
    void restart();
    bool alive() const;
    /// SIGSTOP: runs nothing and sends nothing, while the kernel still accepts and receives.
    void freeze(Duration duration);
    void skew_wall_clock(Duration offset);  ///< wall_now() is off by this much.
    DiskConfig& disk();
    std::uint64_t disk_used_bytes() const;

    Executor& executor() override;
    WallTime wall_now() override;
    void random(std::span<std::uint8_t> out) override;
    Result<std::unique_ptr<io::Listener>> listen(const io::Endpoint& at,
                                                 io::AcceptHandler accepted) override;
    Task<std::unique_ptr<io::Stream>> connect(io::Endpoint to, Duration limit) override;
    Result<std::unique_ptr<io::DatagramSocket>> bind(const io::Endpoint& at) override;
    std::unique_ptr<io::Lane> make_lane(io::LaneConfig config) override;
    void post(std::function<void()> action) override;
    std::string sqlite_vfs() override;

private:
    friend class World;
    detail::Host& host_;
};

}  // namespace gyre::sim
