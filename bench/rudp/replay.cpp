#include "contender.hpp"

#include <gyre/net/kcp.hpp>

// Always-on replay, as kcpp does it: each datagram also carries those sent just before it, newest first, up to
// 548 bytes. KCP takes segments in any order and twice, so its receiver needs no change.
namespace gyre::bench {
namespace {

constexpr std::size_t room_bytes = 548;

net::KcpConfig first_kcp() {
    net::KcpConfig config = net::kcp_fast();
    config.eager = false;
    return config;
}

class Replay final : public Contender {
public:
    explicit Replay(Surroundings& around) : around_(around), ends_{{*this, End::client}, {*this, End::server}} {}
    void clock(TimePoint now) override { now_ = now; }
    bool ready() override { return true; }
    void send(End from, BytesView message) override { (void)end(from).kcp.send(message), end(from).touch(); }
    void arrive(End at, BytesView datagram) override { (void)end(at).kcp.input(datagram, now_), end(at).touch(); }
    TimePoint step() override {
        for (One& one : ends_)
            if (one.wake <= now_) one.touch();
        return std::min(ends_[0].wake, ends_[1].wake);
    }
    std::optional<net::LinkStats> stats(End which) override { return end(which).kcp.stats(); }

private:
    struct One final : net::KcpOutput {
        One(Replay& o, End w) : owner(o), which(w), kcp(77, o.config_, o.pool_, *this) {}
        void output(BytesView datagram) override {
            Bytes whole(datagram.begin(), datagram.end());
            for (std::size_t back = 0; back < std::size(before); ++back) {
                const Bytes& old = before[(last + std::size(before) - back) % std::size(before)];
                if (old.empty() || whole.size() + old.size() > room_bytes) break;
                whole.insert(whole.end(), old.begin(), old.end());
            }
            last = (last + 1) % std::size(before);
            before[last].assign(datagram.begin(), datagram.end());
            owner.around_.transmit(which, whole);
        }
        void touch() {
            for (Bytes message; kcp.receive(message);) owner.around_.deliver(which, message);
            wake = kcp.update(owner.now_);
        }
        Replay& owner;
        End which;
        net::Kcp kcp;
        Bytes before[room_bytes / net::Kcp::head_bytes];
        std::size_t last = 0;
        TimePoint wake = TimePoint::max();
    };
    One& end(End which) { return ends_[static_cast<std::size_t>(which)]; }
    Surroundings& around_;
    net::KcpConfig config_ = first_kcp();
    net::KcpPool pool_;
    TimePoint now_{};
    One ends_[2];
};

}  // namespace

std::unique_ptr<Contender> make_replay_contender(Surroundings& around) { return std::make_unique<Replay>(around); }

}  // namespace gyre::bench
