#include <gyre/net/kcp.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <gyre/base/assert.hpp>
#include <utility>

namespace gyre::net {
namespace {

enum Command : std::uint8_t { push = 81, ack = 82, ask_window = 83, tell_window = 84 };

constexpr std::size_t head_bytes = Kcp::head_bytes;
constexpr std::size_t max_mtu = 1472, udp_ip_bytes = 28;
constexpr std::uint32_t max_fragments = 255;
constexpr std::uint32_t default_remote_window = 128;
constexpr std::uint32_t resend_limit = 5;  // early resends of one segment
constexpr std::int64_t max_rto = 60'000;
constexpr std::uint32_t first_probe_ms = 500, max_probe_ms = 120'000;
constexpr std::int64_t never = INT64_MAX;
constexpr std::uint32_t min_threshold = 2;

std::int64_t to_ms(TimePoint time) { return time.time_since_epoch() / 1ms; }
std::int64_t to_ms(Duration duration) { return duration / 1ms; }
/// How far a is behind b, on a circle of 2^32.
std::int32_t apart(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b); }

std::uint32_t read_u32(const std::uint8_t* p) {
    return p[0] | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
}
void write_u32(std::uint8_t* p, std::uint32_t value) {
    p[0] = static_cast<std::uint8_t>(value), p[1] = static_cast<std::uint8_t>(value >> 8);
    p[2] = static_cast<std::uint8_t>(value >> 16), p[3] = static_cast<std::uint8_t>(value >> 24);
}

constexpr std::size_t classes[] = {128, 512, max_mtu};
int class_of(std::size_t bytes) {
    return bytes <= classes[0] ? 0 : bytes <= classes[1] ? 1 : 2;
}

}  // namespace

/// One fragment of a message; its bytes lie right behind it.
struct KcpPool::Segment {
    Segment* next;
    std::int64_t first_sent, resend_at, rto;
    std::uint32_t number, stamp;
    std::uint32_t transmissions, skipped;
    std::uint16_t size;
    std::uint8_t fragment, size_class;
    std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(this + 1); }
    BytesView view() { return {data(), size}; }
};

KcpPool::~KcpPool() {
    for (Segment* segment : free_)
        while (segment) ::operator delete(std::exchange(segment, segment->next));
}

KcpPool::Segment* KcpPool::take(std::size_t bytes) {
    GYRE_ASSERT(bytes <= max_mtu, "a segment fits into a datagram");
    const int size_class = class_of(bytes);
    Segment*& first = free_[size_class];
    Segment* segment = first;
    if (segment) {
        first = segment->next;
        kept_bytes_ -= classes[size_class];
    } else {
        segment = static_cast<Segment*>(::operator new(sizeof(Segment) + classes[size_class]));
    }
    *segment = {};
    segment->size_class = static_cast<std::uint8_t>(size_class);
    return segment;
}

void KcpPool::give_back(Segment* segment) noexcept {
    const std::size_t bytes = classes[segment->size_class];
    if (kept_bytes_ + bytes > kept_bytes_max_) return ::operator delete(segment);
    kept_bytes_ += bytes;
    segment->next = std::exchange(free_[segment->size_class], segment);
}

Result<> check(const KcpConfig& c) {
    const auto wrong = [](std::string text) { return Error(errc::bad_config, std::move(text)); };
    if (c.nodelay > 2) return wrong("nodelay=" + std::to_string(c.nodelay) + ": expected [0, 2]");
    if (c.interval < 1ms || c.interval > 5s) return wrong("interval: expected [1 ms, 5 s]");
    for (const auto& [name, value] : {std::pair{"send_window", c.send_window}, {"receive_window", c.receive_window}})
        if (value < 2 || value > 32768)
            return wrong(std::string(name) + "=" + std::to_string(value) + ": expected [2, 32768]");
    if (c.mtu_bytes < 50 || c.mtu_bytes > max_mtu)
        return wrong("mtu_bytes=" + std::to_string(c.mtu_bytes) + ": expected [50, 1472]");
    if (c.min_rto < Duration::zero() || c.min_rto > 60s) return wrong("min_rto: expected [0, 60 s]");
    if (c.dead_link == 0) return wrong("dead_link: expected at least 1");
    return {};
}

void Kcp::List::append(Segment* segment) {
    segment->next = nullptr;
    (first ? last->next : first) = segment;
    last = segment;
}
KcpPool::Segment* Kcp::List::pop() {
    Segment* segment = first;
    first = segment->next;
    return segment;
}

void Kcp::Ring::reserve(std::uint32_t begin, std::uint32_t end) {
    const std::uint32_t wanted = end - begin;
    if (wanted <= size()) return;
    std::uint32_t larger = 8;
    while (larger < wanted) larger *= 2;
    auto slots = std::make_unique<Segment*[]>(larger);
    if (slots_)
        for (std::uint32_t i = 0; i <= mask_; ++i)  // each keeps its number
            if (Segment* segment = slots_[i]) slots[segment->number & (larger - 1)] = segment;
    slots_ = std::move(slots);
    mask_ = larger - 1;
}
void Kcp::Ring::shrink() {
    if (size() > 8) slots_.reset(), mask_ = 0;
}

void Kcp::Ring::release() { slots_.reset(), mask_ = 0; }

/// What stands before each segment on the wire.
struct Kcp::Head {
    explicit Head(const std::uint8_t* p)
        : conv(read_u32(p)), command(p[4]), fragment(p[5]), window(static_cast<std::uint16_t>(p[6] | p[7] << 8)),
          stamp(read_u32(p + 8)), number(read_u32(p + 12)), next(read_u32(p + 16)), size(read_u32(p + 20)) {}
    std::uint32_t conv;
    std::uint8_t command, fragment;
    std::uint16_t window;
    std::uint32_t stamp, number, next, size;
};

/// Puts segments together into datagrams.
struct Kcp::Packer {
    explicit Packer(Kcp& k) : kcp(k), window(static_cast<std::uint16_t>(std::min<std::uint32_t>(k.free_window(), 65'535))) {}
    ~Packer() { send(); }
    void add(std::uint8_t command, std::uint8_t fragment, std::uint32_t stamp, std::uint32_t number, BytesView data = {}) {
        if (size + head_bytes + data.size() > kcp.config_.mtu_bytes) send();
        std::uint8_t* const p = buffer.data() + size;
        write_u32(p, kcp.conv_);
        p[4] = command, p[5] = fragment;
        p[6] = static_cast<std::uint8_t>(window), p[7] = static_cast<std::uint8_t>(window >> 8);
        write_u32(p + 8, stamp);
        write_u32(p + 12, number);
        write_u32(p + 16, kcp.expected_);
        write_u32(p + 20, static_cast<std::uint32_t>(data.size()));
        if (!data.empty()) std::memcpy(p + head_bytes, data.data(), data.size());
        size += head_bytes + data.size();
    }
    void send() {
        if (size == 0) return;
        ++kcp.stats_.datagrams_sent;
        kcp.stats_.bytes_sent += size + udp_ip_bytes;
        kcp.output_.output({buffer.data(), std::exchange(size, 0)});
    }
    Kcp& kcp;
    const std::uint16_t window;
    std::size_t size = 0;
    std::array<std::uint8_t, max_mtu> buffer;
};

Kcp::Kcp(std::uint32_t conv, const KcpConfig& config, KcpPool& pool, KcpOutput& output)
    : conv_(conv), config_(config), pool_(pool), output_(output), remote_window_(default_remote_window) {}

Kcp::~Kcp() {
    for (std::uint32_t n = unacknowledged_; n != next_; ++n)
        if (sent_[n]) pool_.give_back(sent_[n]);
    if (early_.size())
        for (std::uint32_t n = expected_; n != early_end_; ++n)
            if (early_[n]) pool_.give_back(early_[n]);
    while (queue_.first) pool_.give_back(queue_.pop());
    while (arrived_.first) pool_.give_back(arrived_.pop());
}

bool Kcp::peek(BytesView datagram, std::uint32_t& conv, bool& begins) {
    if (datagram.size() < net::head_bytes) return false;
    const Head head(datagram.data());
    conv = head.conv;
    begins = head.command == push && head.number == 0 && head.next == 0;
    return true;
}

std::uint32_t Kcp::free_window() const {
    if (held_) return 0;
    return arrived_count_ < config_.receive_window ? config_.receive_window - arrived_count_ : 0;
}

std::uint32_t Kcp::window() const {
    const std::uint32_t both = std::min(config_.send_window, remote_window_);
    return config_.nc ? both : std::min(both, congestion_window_);
}

/// Whether all segments of a datagram could be the peer's: looked at before anything of it counts.
bool Kcp::sensible(BytesView datagram) const {
    if (datagram.size() < net::head_bytes) return false;
    while (!datagram.empty()) {
        if (datagram.size() < net::head_bytes) return false;
        const Head head(datagram.data());
        if (head.conv != conv_ || head.size > datagram.size() - net::head_bytes) return false;
        if (apart(head.next, next_) > 0) return false;  // of what was never sent
        switch (head.command) {
            case push:
                if (head.size > max_mtu || head.fragment >= config_.receive_window) return false;
                break;
            case ack:
                if (apart(head.number, next_) >= 0) return false;
                break;
            case ask_window:
            case tell_window: break;
            default: return false;
        }
        datagram = datagram.subspan(net::head_bytes + head.size);
    }
    return true;
}

Result<> Kcp::input(BytesView datagram, TimePoint time) {
    if (!sensible(datagram)) {
        ++stats_.refused;
        return Error(errc::bad_data, "no datagram of KCP link " + std::to_string(conv_));
    }
    ++stats_.datagrams_received;
    stats_.bytes_received += datagram.size() + udp_ip_bytes;
    const std::int64_t now = to_ms(time);
    const std::uint32_t before = unacknowledged_;
    bool any_ack = false;
    std::uint32_t newest = 0, newest_stamp = 0, received = unacknowledged_;
    while (!datagram.empty()) {
        const Head head(datagram.data());
        remote_window_ = head.window;
        if (apart(head.next, received) > 0) received = head.next;
        if (head.command == ack) {
            if (acknowledge(head.number, head.stamp, now) &&
                (!any_ack || apart(head.number, newest) > 0)) {
                newest = head.number, newest_stamp = head.stamp;
                any_ack = true;
            }
        } else if (head.command == push) {
            take_data(head, datagram.subspan(net::head_bytes, head.size));
        } else if (head.command == ask_window) {
            tell_ = true;
        }
        datagram = datagram.subspan(net::head_bytes + head.size);
    }
    acknowledge_to(received);  // after the acks: they measure what they acknowledge
    if (any_ack) skip(newest, newest_stamp);
    if (unacknowledged_ != before) {
        open_window(unacknowledged_ - before);
        if (config_.eager && (queued_ > 0 || !acks_.empty())) flush_now_ = true;
    }
    return {};
}

void Kcp::acknowledge_to(std::uint32_t number) {
    while (apart(number, unacknowledged_) > 0) {
        if (Segment* segment = std::exchange(sent_[unacknowledged_], nullptr)) {
            queued_bytes_ -= segment->size;
            pool_.give_back(segment);
        }
        ++unacknowledged_;
    }
    while (unacknowledged_ != next_ && !sent_[unacknowledged_]) ++unacknowledged_;
}

/// True when this one was in flight.
bool Kcp::acknowledge(std::uint32_t number, std::uint32_t stamp, std::int64_t now) {
    if (apart(number, unacknowledged_) < 0 || apart(number, next_) >= 0) return false;
    Segment*& slot = sent_[number];
    if (!slot) return false;
    // A stamp that this segment never carried was made up.
    if (apart(stamp, static_cast<std::uint32_t>(slot->first_sent)) >= 0 && apart(slot->stamp, stamp) >= 0)
        measured(apart(static_cast<std::uint32_t>(now), stamp));
    queued_bytes_ -= slot->size;
    pool_.give_back(std::exchange(slot, nullptr));
    while (unacknowledged_ != next_ && !sent_[unacknowledged_]) ++unacknowledged_;
    return true;
}

void Kcp::measured(std::int64_t rtt) {
    if (rtt < 0) return;
    if (srtt_ == 0) {
        srtt_ = std::max<std::int64_t>(rtt, 1);
        variance_ = rtt / 2;
    } else {
        variance_ = (3 * variance_ + std::abs(rtt - srtt_)) / 4;
        srtt_ = std::max<std::int64_t>((7 * srtt_ + rtt) / 8, 1);
    }
    const std::int64_t least = config_.min_rto > Duration::zero() ? to_ms(config_.min_rto) : config_.nodelay ? 30 : 100;
    rto_ = std::clamp(srtt_ + std::max(to_ms(config_.interval), 4 * variance_), least, max_rto);
}

/// Those sent before one that arrived, and not later than it, were passed by.
void Kcp::skip(std::uint32_t newest, std::uint32_t stamp) {
    for (std::uint32_t n = unacknowledged_; apart(n, newest) < 0 && n != next_; ++n) {
        Segment* const segment = sent_[n];
        if (!segment || apart(segment->stamp, stamp) > 0) continue;
        ++segment->skipped;
        if (config_.resend == 0 || segment->transmissions > resend_limit) continue;
        const bool often = segment->skipped >= config_.resend;
        if (often || config_.eager) resend_now_ = true;
        if (often && config_.eager) flush_now_ = true;
    }
}

void Kcp::take_data(const Head& head, BytesView data) {
    const std::int32_t ahead = apart(head.number, expected_);
    if (ahead >= static_cast<std::int32_t>(config_.receive_window)) return;
    // Forged numbers cannot make the list longer than a window; what finds no place is acknowledged when it is resent.
    if (acks_.size() < config_.receive_window) acks_.push_back({head.number, head.stamp});
    if (ahead < 0) {
        ++stats_.duplicates;
        return;
    }
    early_.reserve(expected_, head.number + 1);
    Segment*& slot = early_[head.number];
    if (slot) {
        ++stats_.duplicates;
        return;
    }
    slot = pool_.take(data.size());
    slot->number = head.number;
    slot->fragment = head.fragment;
    slot->size = static_cast<std::uint16_t>(data.size());
    if (!data.empty()) std::memcpy(slot->data(), data.data(), data.size());
    if (apart(head.number + 1, early_end_) > 0 || apart(early_end_, expected_) < 0) early_end_ = head.number + 1;
    deliver();
}

/// Moves what is next in order to where it is read from, while there is room.
void Kcp::deliver() {
    while (early_.size() && early_[expected_] && early_[expected_]->number == expected_ &&
           arrived_count_ < config_.receive_window) {
        arrived_.append(std::exchange(early_[expected_], nullptr));
        ++arrived_count_;
        ++expected_;
    }
    if (apart(early_end_, expected_) <= 0) {
        early_end_ = expected_;
        early_.shrink();
    }
}

bool Kcp::receive(Bytes& message) {
    if (held_ || !arrived_.first) return false;
    std::uint32_t count = 1;
    if (config_.stream) count = arrived_count_;
    else if (arrived_.first->fragment > 0) count = arrived_.first->fragment + 1u;
    if (arrived_count_ < count) return false;
    const bool was_full = arrived_count_ >= config_.receive_window;
    message.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
        Segment* const segment = arrived_.pop();
        append(message, segment->view());
        pool_.give_back(segment);
    }
    arrived_count_ -= count;
    ++stats_.messages_received;
    deliver();
    if (was_full && free_window() > 0) tell_ = true;
    return true;
}

std::size_t Kcp::max_message_bytes() const {
    const std::size_t segments = std::min({max_fragments, config_.send_window, config_.receive_window}) - 1;
    return segments * (config_.mtu_bytes - net::head_bytes);
}

Result<> Kcp::send(BytesView message) {
    if (!config_.stream && message.size() > max_message_bytes())
        return Error(errc::too_large, "message of " + std::to_string(message.size()) + " bytes, limit " + std::to_string(max_message_bytes()));
    if (queued_bytes_ + message.size() > config_.max_queued_bytes)
        return Error(errc::overloaded, std::to_string(queued_bytes_) + " bytes wait for the peer, limit " + std::to_string(config_.max_queued_bytes));
    const std::size_t room = config_.mtu_bytes - net::head_bytes;
    ++stats_.messages_sent;
    queued_bytes_ += message.size();
    if (config_.stream && queue_.first && queue_.last->size < room) {
        Segment* const last = queue_.last;
        const std::size_t more = std::min(room - last->size, message.size());
        if (more > 0) std::memcpy(last->data() + last->size, message.data(), more);
        last->size = static_cast<std::uint16_t>(last->size + more);
        message = message.subspan(more);
        if (message.empty()) return {};
    }
    std::size_t left = message.empty() ? 1 : (message.size() + room - 1) / room;
    do {
        const std::size_t part = std::min(room, message.size());
        Segment* const segment = pool_.take(config_.stream ? room : part);
        segment->size = static_cast<std::uint16_t>(part);
        segment->fragment = config_.stream ? 0 : static_cast<std::uint8_t>(left - 1);
        if (part > 0) std::memcpy(segment->data(), message.data(), part);
        message = message.subspan(part);
        queue_.append(segment);
        ++queued_;
    } while (--left > 0);
    return {};
}

/// Slow start, then one more a window; as KCP counts it, in bytes of full segments.
void Kcp::open_window(std::uint32_t) {
    if (config_.nc || congestion_window_ >= remote_window_) return;
    const auto mss = static_cast<std::uint32_t>(config_.mtu_bytes - net::head_bytes);
    if (congestion_window_ < threshold_) {
        ++congestion_window_;
        increment_ += mss;
    } else {
        increment_ = std::max(increment_, mss);
        increment_ += mss * mss / increment_ + mss / 16;
        if ((congestion_window_ + 1) * mss <= increment_) congestion_window_ = (increment_ + mss - 1) / mss;
    }
    if (congestion_window_ > remote_window_) {
        congestion_window_ = remote_window_;
        increment_ = remote_window_ * mss;
    }
}

/// A peer whose window is closed is asked whether it opened: what told so may be lost.
void Kcp::probe(std::int64_t now) {
    if (remote_window_ > 0 || (queued_ == 0 && in_flight() == 0)) {
        probe_wait_ = 0;
        return;
    }
    if (probe_wait_ == 0) {
        probe_wait_ = first_probe_ms;
        probe_at_ = now + probe_wait_;
    } else if (now >= probe_at_) {
        probe_wait_ = std::min(probe_wait_ + probe_wait_ / 2, max_probe_ms);
        probe_at_ = now + probe_wait_;
        ask_ = true;
    }
}

void Kcp::flush(TimePoint time) {
    const std::int64_t now = to_ms(time);
    const auto stamp = static_cast<std::uint32_t>(now);
    last_flush_ = now;
    flush_now_ = false;
    bool timed_out = false, resent_early = false;
    {
        Packer packer(*this);
        for (const Ack& one : acks_) packer.add(ack, 0, one.stamp, one.number);
        acks_.clear();
        probe(now);
        if (std::exchange(ask_, false)) packer.add(ask_window, 0, stamp, 0);
        if (std::exchange(tell_, false)) packer.add(tell_window, 0, stamp, 0);

        const std::uint32_t first_new = next_;
        const std::uint32_t end = unacknowledged_ + window();
        const bool adds = queued_ > 0 && apart(end, next_) > 0;
        if (adds) {
            const std::uint32_t count = std::min(queued_, static_cast<std::uint32_t>(apart(end, next_)));
            sent_.reserve(unacknowledged_, next_ + count);
            for (std::uint32_t i = 0; i < count; ++i) {
                Segment* const segment = queue_.pop();
                segment->number = next_;
                sent_[next_++] = segment;
            }
            queued_ -= count;
        }
        const auto transmit = [&](Segment& segment) {
            ++segment.transmissions;
            segment.stamp = stamp;
            segment.skipped = 0;
            packer.add(push, segment.fragment, stamp, segment.number, segment.view());
            if (segment.transmissions >= config_.dead_link) dead_ = true;
        };
        if (in_flight() == next_ - first_new) next_resend_ = never;  // only new ones
        if (resend_now_ || now >= next_resend_) {
            next_resend_ = never;
            // When nothing new will be acknowledged soon, to be passed by once is enough.
            const bool quiet = config_.eager && first_new == next_;
            bool waits = false;
            for (std::uint32_t n = unacknowledged_; n != first_new; ++n) {
                Segment* const segment = sent_[n];
                if (!segment) continue;
                if (now >= segment->resend_at) {
                    timed_out = true;
                    ++stats_.resent_late;
                    if (config_.nodelay == 0) segment->rto += std::max(segment->rto, rto_);
                    else segment->rto += (config_.nodelay == 1 ? segment->rto : rto_) / 2;
                    segment->rto = std::min(segment->rto, max_rto);
                    segment->resend_at = now + segment->rto;
                    transmit(*segment);
                } else if (config_.resend > 0 && segment->skipped > 0 && segment->transmissions <= resend_limit) {
                    if (quiet || segment->skipped >= config_.resend) {
                        resent_early = true;
                        ++stats_.resent_early;
                        if (config_.eager) segment->rto = rto_;
                        segment->resend_at = now + segment->rto;
                        transmit(*segment);
                    } else {
                        waits = config_.eager;
                    }
                }
                next_resend_ = std::min(next_resend_, segment->resend_at);
            }
            resend_now_ = waits;
        }
        for (std::uint32_t n = first_new; n != next_; ++n) {
            Segment& segment = *sent_[n];
            ++stats_.segments_sent;
            segment.first_sent = now;
            segment.rto = rto_;
            segment.resend_at = now + rto_ + (config_.nodelay ? 0 : rto_ / 8);
            next_resend_ = std::min(next_resend_, segment.resend_at);
            transmit(segment);
        }
    }
    if (!config_.nc) {
        const auto mss = static_cast<std::uint32_t>(config_.mtu_bytes - net::head_bytes);
        if (resent_early) {
            threshold_ = std::max(in_flight() / 2, min_threshold);
            congestion_window_ = threshold_ + config_.resend;
            increment_ = congestion_window_ * mss;
        }
        if (timed_out) {
            threshold_ = std::max(congestion_window_ / 2, min_threshold);
            congestion_window_ = 1;
            increment_ = mss;
        }
        congestion_window_ = std::max(congestion_window_, 1u);
    }
    settle();
}

/// Gives back what a link that has nothing to say does not need.
void Kcp::settle() {
    if (in_flight() == 0) sent_.shrink();
    if (acks_.capacity() > 16) std::vector<Ack>().swap(acks_);
}

void Kcp::trim() {
    if (in_flight() == 0) sent_.release();
    if (apart(early_end_, expected_) <= 0) early_.release();
    if (acks_.empty()) std::vector<Ack>().swap(acks_);
}

/// When update() has something to do.
std::int64_t Kcp::due(std::int64_t now) const {
    if (flush_now_) return now;
    std::int64_t at = never;
    const bool sends = queued_ > 0 && apart(unacknowledged_ + window(), next_) > 0;
    if (sends && config_.eager) return now;
    if (sends || !acks_.empty() || ask_ || tell_ || resend_now_) at = std::max(now, last_flush_ + to_ms(config_.interval));
    if (in_flight() > 0) at = std::min(at, next_resend_);
    if (remote_window_ == 0 && (queued_ > 0 || in_flight() > 0)) at = std::min(at, probe_wait_ == 0 ? now : probe_at_);
    return at;
}

TimePoint Kcp::update(TimePoint time) {
    const std::int64_t now = to_ms(time);
    std::int64_t at = due(now);
    if (at <= now) {
        flush(time);
        at = due(now);
        if (at <= now) at = now + 1;
    }
    return at == never ? TimePoint::max() : TimePoint(std::chrono::milliseconds(at));
}

LinkStats Kcp::stats() const {
    LinkStats stats = stats_;
    stats.srtt = std::chrono::milliseconds(srtt_);
    stats.rtt_jitter = std::chrono::milliseconds(variance_);
    stats.rto = std::chrono::milliseconds(rto_);
    stats.queued_bytes = queued_bytes_;
    stats.in_flight = in_flight();
    return stats;
}

}  // namespace gyre::net
