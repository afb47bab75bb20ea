#include <gyre/sim/detail/connection.hpp>

#include <algorithm>

namespace gyre::sim::detail {
namespace {

constexpr std::size_t high_water_bytes = 64 * 1024;
constexpr std::size_t read_bytes_max = 64 * 1024;
constexpr Duration linger_time = 1s;
constexpr Duration retransmit_max = 200ms;
constexpr Duration connect_retry = 1s;

class SimStream final : public io::Stream {
public:
    explicit SimStream(End& end) : end_(end) { end.stream = this; }
    ~SimStream() override {
        end_.close();
        end_.stream = nullptr;
        end_.core.abandon(end_.connection);
    }
    void start(io::StreamHandler& handler) override {
        GYRE_ASSERT(end_.handler == nullptr, "a stream is started once");
        GYRE_ASSERT(!end_.closing, "start() comes before close()");
        end_.handler = &handler;
        end_.notify();
    }
    using io::Stream::write;
    void write(BytesView bytes) override {
        if (end_.closing || end_.dead || end_.ended || bytes.empty()) return;
        end_.out.append(bytes);
        if (end_.out.unsent() > high_water_bytes) end_.over_high_water = true;
        end_.host.executor.at_turn_end(end_.flushing);
    }
    std::size_t unsent_bytes() const override { return end_.out.unsent(); }
    void pause(bool paused) override {
        end_.paused = paused;
        if (!paused) end_.notify();
    }
    void close() noexcept override { end_.close(); }
    io::Endpoint peer() const override { return end_.other.local; }
    io::Endpoint local() const override { return end_.local; }

private:
    End& end_;
};

}  // namespace

// ---- Pipe

Pipe::Pipe(Core& core, End& from, End& to, const Random& random)
    : Timer(core.wire, [](Timer& timer) { static_cast<Pipe&>(timer).arrive(); }),
      core_(core),
      from_(from),
      to_(to),
      shape_(random.fork("shape")),
      delay_(random.fork("delay")),
      faults_(random.fork("faults")),
      opening_(*this) {}

Pipe::Opening::Opening(Pipe& p)
    : Timer(p.core_.wire, [](Timer& timer) { static_cast<Opening&>(timer).pipe.open(); }),
      pipe(p) {}

std::size_t Pipe::chunk(std::size_t most) {
    most = std::min(most, read_bytes_max);
    if (!core_.config.network.chunking) return most;
    const std::uint64_t dice = shape_.next();
    return dice % 4 != 0 ? most : 1 + (dice >> 8) % most;
}

void Pipe::send() {
    const std::size_t window = core_.config.network.window_bytes;
    while (unsent() > 0) {
        if (sent_ >= window) {
            blocked_ = true;
            return;
        }
        const std::size_t bytes = chunk(std::min(unsent(), window - sent_));
        sent_ += bytes;
        push(Kind::data, bytes);
    }
}

void Pipe::push(Kind kind, std::size_t bytes) {
    const NetworkConfig& network = core_.config.network;
    TimePoint at = core_.now;
    if (network.bytes_per_second > 0) {
        const double seconds = static_cast<double>(bytes) / network.bytes_per_second;
        at = busy_until_ = std::max(busy_until_, at) +
                           Duration(static_cast<std::int64_t>(seconds * 1e9));
    }
    at += core_.latency(from_.host, to_.host, delay_);
    if (kind == Kind::data && faults_.chance(network.stall_probability))
        at += faults_.between(Duration::zero(), network.stall_max);
    last_ = at = std::max(at, last_);
    segments_.push_back({at, bytes, kind});
    if (segments_.size() == 1 && !held_) arm(at);
}

void Pipe::arrive() {
    if (!core_.reachable(from_.host, to_.host)) {
        held_ = true;
        return;
    }
    while (!segments_.empty() && segments_.front().at <= core_.now) {
        const Segment segment = segments_.front();
        segments_.pop_front();
        deliver(segment);
    }
    if (!segments_.empty()) arm(segments_.front().at);
}

void Pipe::deliver(Segment segment) {
    arrived_ += segment.bytes;
    if (to_.dead) {
        discard_arrived();
        if (segment.kind != Kind::reset) to_.refuse();
    } else if (to_.closing || to_.ended) {
        discard_arrived();
        if (segment.kind == Kind::reset) to_.arrive(segment.kind);
    } else if (segment.kind == Kind::data &&
               faults_.chance(core_.config.network.cut_probability)) {
        const std::size_t lost = faults_.below(segment.bytes + 1);
        arrived_ -= lost;
        discard_unarrived();
        cut_ = true;
        to_.arrive(Kind::reset);
        to_.out.cut();
    } else {
        to_.arrive(segment.kind);
    }
}

BytesView Pipe::take(std::size_t limit) {
    const std::size_t count = std::min(arrived_, limit);
    const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(head_);
    core_.scratch.assign(first, first + static_cast<std::ptrdiff_t>(count));
    consume(count);
    return core_.scratch;
}

void Pipe::consume(std::size_t count) {
    head_ += count;
    arrived_ -= count;
    sent_ -= count;
    if (head_ == bytes_.size()) {
        bytes_.clear();
        head_ = 0;
    } else if (head_ > bytes_.size() / 2 && head_ > 4096) {
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
        head_ = 0;
    }
    if (blocked_ && count > 0 && !opening_.armed())
        opening_.arm(core_.now + core_.latency(to_.host, from_.host, delay_));
}

void Pipe::open() {
    if (!core_.reachable(to_.host, from_.host)) return;
    blocked_ = false;
    if (!from_.dead) from_.host.executor.at_turn_end(from_.flushing);
}

void Pipe::discard_unarrived() {
    for (const Segment& segment : segments_)
        if (segment.kind == Kind::accept) to_.dead = true, to_.waits_for_accept = false;
    segments_.clear();
    disarm();
    held_ = false;
    sent_ = arrived_;
    discard_unsent();
}

void Pipe::cut() {
    if (std::exchange(cut_, true)) return;
    const std::size_t under_way = sent_ - arrived_;
    const std::size_t kept = under_way == 0 ? 0 : faults_.below(under_way + 1);
    const std::size_t arrived = arrived_;
    arrived_ += kept;
    discard_unarrived();
    arrived_ = arrived;
    if (kept > 0) push(Kind::data, kept);
    push(Kind::reset);
}

void Pipe::resume() {
    if (!core_.reachable(from_.host, to_.host)) return;
    const TimePoint at = core_.now + delay_.between(1ms, retransmit_max);
    if (held_) {
        held_ = false;
        for (Segment& segment : segments_) segment.at = std::max(segment.at, at);
        last_ = std::max(last_, at);
        if (!segments_.empty()) arm(segments_.front().at);
    }
    if (blocked_ && !opening_.armed()) opening_.arm(at);
}

// ---- End

End::End(Core& c, Connection& owner, Host& h, io::Endpoint at, End& o, const Random& random)
    : Ready([](Ready& ready) { static_cast<End&>(ready).service(); }),
      core(c),
      connection(owner),
      host(h),
      local(std::move(at)),
      other(o),
      out(c, *this, o, random),
      flushing(*this),
      linger(*this) {}

End::Flush::Flush(End& e)
    : Ready([](Ready& ready) { static_cast<Flush&>(ready).end.flush(); }), end(e) {}

End::Linger::Linger(End& e)
    : Timer(e.core.wire,
            [](Timer& timer) {
                End& self = static_cast<Linger&>(timer).end;
                if (self.end_sent || self.dead) return;
                self.end_sent = true;
                self.out.discard_unsent();
                self.out.push(Pipe::Kind::reset);
            }),
      end(e) {}

void End::notify() {
    if (!linked()) host.executor.ready(*this);
}

void End::arrive(Pipe::Kind kind) {
    switch (kind) {
        case Pipe::Kind::data: break;
        case Pipe::Kind::accept:
            if (!host.alive || !host.listener_at(local)) return turn_away();
            accepting = true;
            break;
        case Pipe::Kind::end: ended = true; break;
        case Pipe::Kind::reset:
            ended = was_reset = true;
            out.discard_unsent();
            break;
    }
    notify();
}

void End::service() {
    if (accepting) {
        accepting = waits_for_accept = false;
        SimListener* listener = host.listener_at(local);
        if (!listener) return turn_away();
        core.trace(host, "accept");
        const auto accepted = listener->accepted_;
        (*accepted)(std::make_unique<SimStream>(*this));
    }
    while (handler && !paused && other.out.arrived() > 0) {
        const BytesView bytes = other.out.take(read_bytes_max);
        core.trace(host, "deliver", bytes);
        handler->on_data(bytes);
    }
    if (handler && ended && (was_reset || other.out.arrived() == 0)) {
        if (!dead) core.trace(host, "close", as_bytes(was_reset ? "reset" : "end"));
        out.discard_unsent();
        std::exchange(handler, nullptr)
            ->on_closed(Error(errc::disconnected, other.local.to_string() +
                                                      (was_reset ? " reset the connection"
                                                                 : " ended the stream")));
    }
}

void End::flush() {
    if (dead || was_reset || end_sent) return;
    out.send();
    if (out.unsent() > 0) return;
    if (closing) {
        end_sent = true;
        linger.disarm();
        out.push(Pipe::Kind::end);
    } else if (std::exchange(over_high_water, false) && handler) {
        handler->on_drained();
    }
}

void End::close() noexcept {
    handler = nullptr;
    if (closing || dead) return;
    closing = true;
    other.out.discard_arrived();
    if (was_reset) return;
    linger.arm(core.now + linger_time);
    host.executor.at_turn_end(flushing);
}

void End::die(Death death) {
    if (dead) return;
    const bool says_goodbye = death == Death::process && !end_sent && !was_reset;
    dead = ended = was_reset = true;
    if (handler) notify();  // heard when its remains unwind
    flushing.unlink();
    linger.disarm();
    waits_for_accept = accepting = false;
    out.discard_unsent();
    if (death == Death::machine) out.discard_unarrived();
    if (says_goodbye) refuse();
    other.out.discard_arrived();
    core.abandon(connection);
}

void End::turn_away() {
    dead = true;
    waits_for_accept = accepting = false;
    refuse();
    core.abandon(connection);
}

void End::refuse() {
    if (std::exchange(end_sent, true)) return;
    out.push(Pipe::Kind::reset);
}

// ---- Connection, Attempt

Connection::Connection(Core& core, std::uint64_t number, Host& from_host, io::Endpoint from,
                       Host& to_host, io::Endpoint to, const Random& random)
    : serial(number),
      client(core, *this, from_host, std::move(from), server, random.fork("out")),
      server(core, *this, to_host, std::move(to), client, random.fork("in")) {
    server.waits_for_accept = true;
    client.out.push(Pipe::Kind::accept);
}

Attempt::Attempt(Core& core, Host& from, Host* to, io::Endpoint at, Duration limit)
    : Waiter(&leave),
      core_(core),
      from_(from),
      to_(to),
      at_(std::move(at)),
      limit_(std::min<Duration>(limit, 10'000h)),
      random_(core.random.fork("connect:" + from.name, ++from.connects)),
      deaths_(from.deaths),
      travel_(*this),
      expiry_(*this) {}

Attempt::Travel::Travel(Attempt& a)
    : Timer(a.core_.wire, [](Timer& timer) { static_cast<Travel&>(timer).attempt.arrived(); }),
      attempt(a) {}
Attempt::Limit::Limit(Attempt& a)
    : Timer(a.from_.executor,
            [](Timer& timer) {
                Attempt& self = static_cast<Limit&>(timer).attempt;
                self.fail(Error(errc::timed_out, self.at_.to_string() + " did not answer in time"));
            }),
      attempt(a) {}

void Attempt::leave(Waiter& waiter) {
    auto& self = static_cast<Attempt&>(waiter);
    self.travel_.disarm();
    self.expiry_.disarm();
}

void Attempt::begin() {
    expiry_.arm_in(limit_);
    travel_.arm(core_.now + (to_ ? core_.latency(from_, *to_, random_) : Duration(1ms)));
}

void Attempt::arrived() {
    if (from_.deaths != deaths_) return;
    const bool passes = to_ && (returning_ ? core_.reachable(*to_, from_)
                                           : core_.reachable(from_, *to_));
    if (!passes) {
        returning_ = false;
        travel_.arm(core_.now + connect_retry);
    } else if (returning_) {
        answered();
    } else {
        asked();
    }
}

void Attempt::asked() {
    refused_ = !to_->alive || !to_->listener_at(at_) ||
               random_.chance(core_.config.network.refuse_probability);
    returning_ = true;
    travel_.arm(core_.now + core_.latency(*to_, from_, random_));
}

void Attempt::answered() {
    if (refused_) {
        core_.trace(from_, "refused", as_bytes(at_.host));
        return fail(Error(errc::refused, "nobody listens at " + at_.to_string()));
    }
    const std::uint64_t serial = core_.next_connection++;
    io::Endpoint local{at_.is_loopback() ? at_.host : from_.address, from_.free_port()};
    auto connection = std::make_unique<Connection>(core_, serial, from_, std::move(local), *to_,
                                                   at_, random_.fork("stream"));
    stream_ = std::make_unique<SimStream>(connection->client);
    core_.connections.emplace(serial, std::move(connection));
    core_.trace(from_, "connect");
    leave(*this);
    wake();
}

void Attempt::fail(Error error) {
    failure_.emplace(std::move(error));
    leave(*this);
    wake();
}

}  // namespace gyre::sim::detail
