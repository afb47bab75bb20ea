#pragma once
#include <gyre/base/hash.hpp>
#include <gyre/io/datagram.hpp>
#include <map>

namespace gyre::net::detail {

/// Datagram sockets in memory, on one clock that is set by hand. What is sent in a turn arrives in the
/// next one. Anybody may be the sender. For tests, fuzzers and benchmarks.
class ScriptedNetwork {
public:
    struct Datagram {
        io::SocketAddress from, to;
        Bytes bytes;
    };

    /// The io door of one address.
    class Host final : public io::Io {
    public:
        Host(ScriptedNetwork& network, std::uint32_t ip, std::uint64_t seed = 1) : network_(network), ip_(ip), random_(seed) {}
        Executor& executor() override { return network_.executor; }
        WallTime wall_now() override { return {}; }
        void random(std::span<std::uint8_t> out) override {
            for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(mix(random_ += 0x9e3779b97f4a7c15u) >> 32);
        }
        Result<std::unique_ptr<io::Listener>> listen(const io::Endpoint&, io::AcceptHandler) override { return none(); }
        Task<std::unique_ptr<io::Stream>> connect(io::Endpoint, Duration) override { throw none(); }
        Result<std::unique_ptr<io::DatagramSocket>> bind(const io::Endpoint& at) override {
            const io::SocketAddress address{ip_, at.port ? at.port : next_port_++};
            if (network_.sockets_.contains(address)) return Error(errc::in_use, address.endpoint().to_string());
            return std::unique_ptr<io::DatagramSocket>(std::make_unique<Socket>(network_, address));
        }
        std::unique_ptr<io::Lane> make_lane(io::LaneConfig) override { return {}; }
        void post(std::function<void()> action) override { action(); }
        std::string sqlite_vfs() override { return {}; }

    private:
        static Error none() { return Error(errc::refused, "datagrams only"); }
        ScriptedNetwork& network_;
        std::uint32_t ip_;
        std::uint64_t random_;
        std::uint16_t next_port_ = 40'000;
    };

    /// One step: what is under way arrives, then a loop turn.
    void turn(Duration step = Duration::zero()) {
        executor.advance(executor.now() + step);
        arriving_.swap(wire_);
        const std::size_t count = std::exchange(size_, 0);
        for (std::size_t i = 0; i < count; ++i) {
            Datagram& one = arriving_[i];
            const auto found = sockets_.find(one.to);
            if (found != sockets_.end() && found->second->handler) found->second->handler->on_datagram(one.from, one.bytes);
        }
        executor.turn(executor.now());
    }
    void run_for(Duration duration, Duration step = 1ms) {
        for (const TimePoint end = executor.now() + duration; executor.now() < end;) turn(step);
    }
    bool run_until(const std::function<bool()>& done, Duration limit = 10s, Duration step = 1ms) {
        for (const TimePoint end = executor.now() + limit; executor.now() < end; turn(step))
            if (done()) return true;
        return done();
    }
    /// As if `from` had sent it.
    void inject(const io::SocketAddress& from, const io::SocketAddress& to, BytesView bytes) {
        if (size_ == wire_.size()) wire_.emplace_back();
        Datagram& one = wire_[size_++];
        one.from = from, one.to = to;
        one.bytes.assign(bytes.begin(), bytes.end());
    }

    Executor executor;
    /// Sees what sockets send; false: it is lost.
    std::function<bool(const Datagram&)> on_send;

private:
    struct Socket final : io::DatagramSocket {
        Socket(ScriptedNetwork& n, const io::SocketAddress& a) : network(n), address(a) { network.sockets_[address] = this; }
        ~Socket() override { network.sockets_.erase(address); }
        void start(io::DatagramHandler& h) override { handler = &h; }
        void send(const io::SocketAddress& to, BytesView bytes) override {
            ++counted.sent;
            counted.sent_bytes += bytes.size();
            if (network.on_send && !network.on_send({address, to, Bytes(bytes.begin(), bytes.end())})) return;
            network.inject(address, to, bytes);
        }
        io::Endpoint local() const override { return address.endpoint(); }
        const io::DatagramCounters& counters() const override { return counted; }
        ScriptedNetwork& network;
        io::SocketAddress address;
        io::DatagramHandler* handler = nullptr;
        io::DatagramCounters counted;
    };
    std::map<io::SocketAddress, Socket*> sockets_;
    std::vector<Datagram> wire_, arriving_;  // their bytes are used again
    std::size_t size_ = 0;                   // of wire_ in use
};

}  // namespace gyre::net::detail
