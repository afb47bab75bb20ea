#pragma once
#include <gyre/io/io.hpp>
#include <gyre/sim/link.hpp>

namespace gyre::sim {

/// An io door whose sockets have a bad link before them: what a client would see of servers that are far away,
/// on one machine and with real sockets. Each datagram socket and each outgoing stream has a link of its own.
/// Knobs that need somebody on the way (`rebind`) do nothing here: `gyre link` has them.
///
/// A stream cannot lose the segments of the kernel's TCP, so those are a model: what a turn writes is cut into
/// segments of 1460 bytes; a lost one is sent again one and a quarter round trips after a later one that arrived
/// (RACK, RFC 8985), else after two round trips (tail loss probe), else after 200 ms or 1.5 round trips, doubling
/// each time; what is behind it waits. Real TCP, which also slows down, is measured by `./dev bench rudp`.
class LinkedIo final : public io::Io {
public:
    /// inner outlives this, this outlives its sockets.
    LinkedIo(io::Io& inner, const LinkConfig& up, const LinkConfig& down, std::uint64_t seed);

    Executor& executor() override { return inner_.executor(); }
    TimePoint measure_now() override { return inner_.measure_now(); }
    WallTime wall_now() override { return inner_.wall_now(); }
    void random(std::span<std::uint8_t> out) override { inner_.random(out); }
    Result<std::unique_ptr<io::Listener>> listen(const io::Endpoint& at, io::AcceptHandler accepted) override {
        return inner_.listen(at, std::move(accepted));
    }
    Task<std::unique_ptr<io::Stream>> connect(io::Endpoint to, Duration limit) override;
    Result<std::unique_ptr<io::DatagramSocket>> bind(const io::Endpoint& at) override;
    std::unique_ptr<io::Lane> make_lane(io::LaneConfig config) override { return inner_.make_lane(std::move(config)); }
    void post(std::function<void()> action) override { inner_.post(std::move(action)); }
    std::string sqlite_vfs() override { return inner_.sqlite_vfs(); }

    /// Bytes given to the links, with 28 a datagram and 40 a segment of heads; and lost, of both directions.
    struct Counters {
        std::uint64_t bytes = 0, datagrams = 0, lost = 0;
    };
    const Counters& counters() const { return counters_; }

private:
    std::uint64_t next_seed() { return Random(seed_).fork("socket", sockets_++).next(); }
    io::Io& inner_;
    const LinkConfig up_, down_;
    const std::uint64_t seed_;
    std::uint64_t sockets_ = 0;
    Counters counters_;
};

}  // namespace gyre::sim
