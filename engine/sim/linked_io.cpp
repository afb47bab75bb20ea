#include <gyre/sim/linked_io.hpp>

#include <algorithm>
#include <deque>
#include <gyre/io/datagram.hpp>
#include <gyre/task/sync.hpp>
#include <map>

namespace gyre::sim {
namespace {

constexpr std::size_t segment_bytes = 1460, tcp_head_bytes = 40, udp_head_bytes = 28;
constexpr Duration rto_min = 200ms, probe_min = 10ms, rto_max = 60s;

class LinkedSocket final : public io::DatagramSocket, io::DatagramHandler, Timer {
public:
    LinkedSocket(std::unique_ptr<io::DatagramSocket> inner, Executor& executor, const LinkConfig& up,
                 const LinkConfig& down, std::uint64_t seed, LinkedIo::Counters& counters)
        : Timer(executor, [](Timer& timer) { static_cast<LinkedSocket&>(timer).pass_due(); }),
          inner_(std::move(inner)), up_(up, seed), down_(down, seed + 1), counted_(counters) {}
    ~LinkedSocket() override {
        if (gone_) *gone_ = true;
    }
    void start(io::DatagramHandler& handler) override {
        handler_ = &handler;
        inner_->start(*this);
    }
    void send(const io::SocketAddress& to, BytesView bytes) override { carry(up_, to, bytes, true); }
    io::Endpoint local() const override { return inner_->local(); }
    const io::DatagramCounters& counters() const override { return inner_->counters(); }

private:
    struct Passing {
        io::SocketAddress address;
        Bytes bytes;
        bool up;
    };
    void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override { carry(down_, from, bytes, false); }

    void carry(LinkModel& link, const io::SocketAddress& address, BytesView bytes, bool up) {
        const auto fate = link.pass(executor().now(), bytes.size());
        ++counted_.datagrams;
        counted_.bytes += bytes.size() + udp_head_bytes;
        if (fate.copies == 0) return void(++counted_.lost);
        for (unsigned copy = 0; copy < fate.copies; ++copy)
            passing_.emplace(fate.at[copy], Passing{address, Bytes(bytes.begin(), bytes.end()), up});
        arm(passing_.begin()->first);
    }
    void pass_due() {
        bool is_gone = false;
        gone_ = &is_gone;
        while (!passing_.empty() && passing_.begin()->first <= executor().now()) {
            Passing next = std::move(passing_.extract(passing_.begin()).mapped());
            if (next.up) inner_->send(next.address, next.bytes);
            else handler_->on_datagram(next.address, next.bytes);
            if (is_gone) return;
        }
        handler_->on_batch_end();
        if (is_gone) return;
        gone_ = nullptr;
        if (!passing_.empty()) arm(passing_.begin()->first);
    }

    std::unique_ptr<io::DatagramSocket> inner_;
    LinkModel up_, down_;
    LinkedIo::Counters& counted_;
    std::multimap<TimePoint, Passing> passing_;
    io::DatagramHandler* handler_ = nullptr;
    bool* gone_ = nullptr;  // set while the handler runs
};

/// One direction of a stream: segments, those of them that are lost, and when they come after all.
class Way {
public:
    Way(const LinkConfig& config, Duration round_trip, std::uint64_t seed, LinkedIo::Counters& counters)
        : link_(config, seed), round_trip_(round_trip), counted_(counters) {}

    void push(BytesView bytes, TimePoint now) {
        for (; !bytes.empty(); bytes = bytes.subspan(std::min(segment_bytes, bytes.size()))) {
            const BytesView part = bytes.first(std::min(segment_bytes, bytes.size()));
            // A later segment puts the probe of the ones before off.
            for (Segment& one : segments_)
                if (one.lost && one.probes) one.due = now + std::max<Duration>(2 * round_trip_, probe_min);
            bytes_ += part.size();
            segments_.push_back({Bytes(part.begin(), part.end()), {}, 0, false, false});
            transmit(segments_.back(), now);
        }
    }
    /// The next bytes in order that are there by now, or nothing.
    bool pop(Bytes& bytes, TimePoint now) {
        for (std::size_t i = 0; i < segments_.size(); ++i)
            if (segments_[i].lost && segments_[i].due <= now) transmit(segments_[i], now);
        if (segments_.empty() || segments_.front().lost || segments_.front().due > now) return false;
        bytes = std::move(segments_.front().bytes);
        bytes_ -= bytes.size();
        segments_.pop_front();
        return true;
    }
    template <class F>
    void drain(F to) {
        for (; !segments_.empty(); segments_.pop_front()) to(segments_.front().bytes);
        bytes_ = 0;
    }
    TimePoint next() const {
        TimePoint at = segments_.empty() || segments_.front().lost ? TimePoint::max() : segments_.front().due;
        for (const Segment& one : segments_)
            if (one.lost) at = std::min(at, one.due);
        return at;
    }
    std::size_t bytes() const { return bytes_; }

private:
    struct Segment {
        Bytes bytes;
        TimePoint due;  // arrives, or lost: is sent again
        unsigned times;
        bool lost, probes;
    };
    void transmit(Segment& segment, TimePoint now) {
        const auto fate = link_.pass(now, segment.bytes.size() + tcp_head_bytes - udp_head_bytes);
        ++counted_.datagrams;
        counted_.bytes += segment.bytes.size() + tcp_head_bytes;
        const bool first = segment.times++ == 0;
        segment.lost = fate.copies == 0;
        if (segment.lost) {
            ++counted_.lost;
            const Duration rto = std::max<Duration>(rto_min, round_trip_ + round_trip_ / 2);
            segment.probes = first && &segment == &segments_.back();
            segment.due = now + (segment.probes ? std::max<Duration>(2 * round_trip_, probe_min)
                                                : std::min<Duration>(rto * (1u << std::min(segment.times - 1, 8u)), rto_max));
            return;
        }
        segment.due = fate.at[0];
        // It arrives: what was lost before it is sent again as soon as that is known.
        for (Segment& before : segments_) {
            if (&before == &segment) break;
            if (!before.lost) continue;
            before.due = std::min(before.due, segment.due - link_.config().delay + round_trip_ + round_trip_ / 4);
            before.probes = false;
        }
    }
    LinkModel link_;
    const Duration round_trip_;
    LinkedIo::Counters& counted_;
    std::deque<Segment> segments_;
    std::size_t bytes_ = 0;
};

class LinkedStream final : public io::Stream, io::StreamHandler, Timer {
public:
    LinkedStream(std::unique_ptr<io::Stream> inner, Executor& executor, const LinkConfig& up, const LinkConfig& down,
                 std::uint64_t seed, LinkedIo::Counters& counters)
        : Timer(executor, [](Timer& timer) { static_cast<LinkedStream&>(timer).pass_due(); }), inner_(std::move(inner)),
          up_(up, up.delay + down.delay, seed, counters), down_(down, up.delay + down.delay, seed + 1, counters) {}
    ~LinkedStream() override {
        turn_end_.unlink();
        if (gone_) *gone_ = true;
    }
    void start(io::StreamHandler& handler) override {
        handler_ = &handler;
        inner_->start(*this);
    }
    void write(BytesView bytes) override {
        append(written_, bytes);
        executor().at_turn_end(turn_end_);
    }
    std::size_t unsent_bytes() const override { return written_.size() + up_.bytes() + inner_->unsent_bytes(); }
    void pause(bool paused) override {
        paused_ = paused;
        inner_->pause(paused);
        if (!paused) arm(executor().now());
    }
    void close() noexcept override {
        handler_ = nullptr;
        push_written();
        up_.drain([this](BytesView bytes) { inner_->write(bytes); });  // what was written is not lost
        inner_->close();
    }
    io::Endpoint peer() const override { return inner_->peer(); }
    io::Endpoint local() const override { return inner_->local(); }

private:
    struct TurnEnd : Ready {
        explicit TurnEnd(LinkedStream& s) : Ready([](Ready& r) { static_cast<TurnEnd&>(r).stream.push_written(); }), stream(s) {}
        LinkedStream& stream;
    };
    void push_written() {
        if (written_.empty()) return;
        up_.push(written_, executor().now());
        written_.clear();
        again();
    }
    void on_data(BytesView bytes) override {
        down_.push(bytes, executor().now());
        again();
    }
    void on_closed(const Error& reason) override {
        ended_ = reason;
        arm(executor().now());
    }
    void on_drained() override { was_full_ = true; }

    void pass_due() {
        bool is_gone = false;
        gone_ = &is_gone;
        const TimePoint now = executor().now();
        if (!ended_)
            for (Bytes bytes; up_.pop(bytes, now);) inner_->write(bytes);
        for (Bytes bytes; handler_ && !paused_ && down_.pop(bytes, now);) {
            handler_->on_data(bytes);
            if (is_gone) return;
        }
        if (ended_ && handler_ && !paused_ && down_.bytes() == 0) {
            std::exchange(handler_, nullptr)->on_closed(*ended_);
            if (is_gone) return;
        }
        was_full_ |= up_.bytes() > full_bytes;
        if (was_full_ && handler_ && unsent_bytes() < full_bytes / 2) {
            was_full_ = false;
            handler_->on_drained();
            if (is_gone) return;
        }
        gone_ = nullptr;
        again();
    }
    void again() {
        const TimePoint at = std::min(ended_ ? TimePoint::max() : up_.next(), paused_ ? TimePoint::max() : down_.next());
        if (at != TimePoint::max()) arm(at);
    }

    static constexpr std::size_t full_bytes = 64 * 1024;
    std::unique_ptr<io::Stream> inner_;
    Way up_, down_;
    Bytes written_;
    TurnEnd turn_end_{*this};
    io::StreamHandler* handler_ = nullptr;
    std::optional<Error> ended_;
    bool paused_ = false, was_full_ = false;
    bool* gone_ = nullptr;  // set while the handler runs
};

}  // namespace

LinkedIo::LinkedIo(io::Io& inner, const LinkConfig& up, const LinkConfig& down, std::uint64_t seed)
    : inner_(inner), up_(up), down_(down), seed_(seed) {}

Task<std::unique_ptr<io::Stream>> LinkedIo::connect(io::Endpoint to, Duration limit) {
    auto stream = co_await inner_.connect(to, limit);
    const std::uint64_t seed = next_seed();
    co_await sleep(up_.delay + down_.delay);  // SYN and its answer
    co_return std::make_unique<LinkedStream>(std::move(stream), executor(), up_, down_, seed, counters_);
}

Result<std::unique_ptr<io::DatagramSocket>> LinkedIo::bind(const io::Endpoint& at) {
    auto socket = inner_.bind(at);
    if (!socket) return socket.error();
    return std::unique_ptr<io::DatagramSocket>(
        std::make_unique<LinkedSocket>(*std::move(socket), executor(), up_, down_, next_seed(), counters_));
}

}  // namespace gyre::sim
