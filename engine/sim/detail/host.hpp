#pragma once
#include <gyre/sim/detail/core.hpp>
#include <gyre/sim/detail/disk.hpp>

namespace gyre::sim::detail {

class SimListener final : public io::Listener {
public:
    SimListener(Host& host, io::Endpoint at, io::AcceptHandler accepted);
    ~SimListener() override;
    io::Endpoint local() const override { return local_; }

private:
    friend struct Host;
    friend struct End;
    Host* host_;  // null once the process died
    io::Endpoint local_;
    std::shared_ptr<io::AcceptHandler> accepted_;  // may destroy the listener it is called for
};

class SimDatagramSocket;

/// One machine: its kernel (ports, sockets, disk) and its one process (executor, scope).
struct Host {
    Host(Core& core, std::uint32_t index, std::string name, std::string address);
    ~Host();

    TimePoint wake_at() const;  ///< When its executor has something to do, max() for never.
    void turn(TimePoint now);
    bool runs() const { return (alive || unwinding > 0) && core.now >= frozen_until; }
    void kill(Death death);
    void restart();
    void renew_scope();
    SimListener* listener_at(const io::Endpoint& at) const;
    SimDatagramSocket* datagrams_at(const io::SocketAddress& at) const;
    bool owns(const std::string& host) const;
    std::uint16_t free_port();

    Core& core;
    const std::uint32_t index;
    const std::string name, address;
    const std::uint32_t ip;  // the address
    Executor executor;
    std::unique_ptr<Scope> scope;
    std::vector<std::unique_ptr<Scope>> remains;  // of processes that died
    bool alive = true;
    bool dark = false;  // the machine itself is dead: it answers nobody
    int unwinding = 0;  // World::run() on a dead machine
    std::uint64_t deaths = 0;
    TimePoint last_turn, frozen_until;
    Duration wall_skew{};
    Random entropy;
    std::vector<SimListener*> listeners;
    std::vector<SimDatagramSocket*> datagrams;
    std::uint16_t next_port = 40'000;
    std::uint64_t connects = 0, lanes = 0;
    Disk disk;
    Machine machine;
};

}  // namespace gyre::sim::detail
