#include <gyre/net/detail/rudp_link.hpp>

namespace gyre::net {

using namespace rudp;

Result<> check(const RudpConfig& c) {
    const auto wrong = [](std::string text) { return Error(errc::bad_config, std::move(text)); };
    if (c.copies_max < 1 || c.copies_max > 4)
        return wrong("copies_max=" + std::to_string(c.copies_max) + ": expected [1, 4]");
    if (!(c.extra_bytes_max >= 0 && c.extra_bytes_max <= 4))
        return wrong("extra_bytes_max=" + std::to_string(c.extra_bytes_max) + ": expected [0, 4]");
    if (c.repair_bytes_max > Rudp::loose_bytes_max)
        return wrong("repair_bytes_max=" + std::to_string(c.repair_bytes_max) + ": expected [0, 1100]");
    if (c.duplicate_after < Duration::zero() || c.duplicate_after > 100ms)
        return wrong("duplicate_after: expected [0, 100 ms]");
    if (c.max_message_bytes > 1 << 20)
        return wrong("max_message_bytes=" + std::to_string(c.max_message_bytes) + ": expected at most 1048576");
    if (c.max_received_bytes < c.max_message_bytes + (64 << 10))
        return wrong("max_received_bytes=" + std::to_string(c.max_received_bytes) + ": expected 64 KiB above max_message_bytes");
    return {};
}

Rudp::Rudp(const RudpConfig& config, BlockPool& pool, RudpOutput& output)
    : impl_(std::make_unique<Impl>(config, pool, output)) {}
Rudp::~Rudp() = default;

Result<> Rudp::input(std::uint64_t number, BytesView plain, TimePoint now) { return impl_->input(number, plain, now); }
bool Rudp::broken() const { return impl_->broken != nullptr; }
Result<> Rudp::send(BytesView message, Delivery how, TimePoint now) { return impl_->send(message, how, now); }
bool Rudp::receive(Bytes& message) { return impl_->receive(message); }
void Rudp::hold(bool held) {
    impl_->is_held = held;
    if (!held && impl_->told_full) impl_->ack_at = TimePoint::min();  // there is room again: said at once
}
bool Rudp::held() const { return impl_->is_held; }
TimePoint Rudp::update(TimePoint now) { return impl_->update(now); }
void Rudp::ask() { impl_->ask_next = true; }
void Rudp::trim() { impl_->trim(); }
bool Rudp::idle() const { return impl_->idle(); }
std::size_t Rudp::queued_bytes() const { return impl_->queued_bytes; }

LinkStats Rudp::stats() const {
    LinkStats stats = impl_->counted;
    const Path& path = impl_->path;
    stats.srtt = path.srtt();
    stats.rtt_jitter = path.variance();
    stats.rto = path.deadline();
    stats.queued_bytes = impl_->queued_bytes;
    stats.in_flight = impl_->in_flight;
    stats.measured_loss = path.loss();
    return stats;
}

Rudp::Impl::~Impl() {
    for (std::uint64_t n = una; n < next; ++n)
        if (Out* one = outs.at(n); one && one->sent) free_out(one);  // others stand in a queue
    for (auto& queue : queues)
        while (queue.first) free_out(queue.pop());
    for (auto* list : {&loose, &recent, &ready_loose})
        while (list->first) {
            Loose* one = list->pop();
            pool.give_back(one, one->size_class);
        }
    for (std::uint64_t n = settled; n < packets_end; ++n)
        if (Sent* one = packets.at(n)) pool.give_back(one, one->size_class);
    while (ready.first) {
        In* one = ready.pop();
        one->listed = false;
        if (!one->in_ring) release_in(one);
    }
    for (std::uint64_t n = in_base; n < highest; ++n)
        if (In* one = ins.at(n)) release_in(one);
}

Result<> Rudp::Impl::input(std::uint64_t number, BytesView plain, TimePoint now) {
    if (broken) return Error(broken->code, broken->why);
    const auto packet = read_packet(plain);
    const bool sensible = packet && sensible_acks(*packet) && sensible_numbers(packet->frames);
    if (!sensible) {
        ++counted.refused;
        if (!packet) return packet.error();
        return Error(errc::bad_data, "numbers that make no sense");
    }
    // Without room it counts as lost: it will come again.
    // While something lacks, what is here cannot be taken: then it is bounded by the window.
    const bool waits_for_reader = !gap() && open_begin == none;
    if (packet->asks_for_ack && waits_for_reader && in_bytes + packet->frames.size() > config.max_received_bytes) return {};
    ++counted.datagrams_received;
    counted.bytes_received += plain.size() + datagram_overhead;
    if (packet->acks != AckKind::none || packet->has_una) take_acks(*packet, number, now);
    if (number + 1 >= got_end) {
        if (peer_full && !packet->full) full_ask_at = never;
        peer_full = packet->full;
    }
    take_frames(number, packet->frames);
    received_packet(number, *packet, plain.size(), now);
    if (broken) return Error(broken->code, broken->why);
    return {};
}

TimePoint Rudp::Impl::update(TimePoint now) {
    detect(now);
    flush(now);
    TimePoint at = std::min({ack_at, repair_at, next_deadline(), full_ask_at});
    if (blocked_until > now) at = std::min(at, blocked_until);
    return at;
}

bool Rudp::Impl::idle() const {
    return queued_bytes == 0 && in_flight == 0 && !loose.first && ack_at == never;
}

void Rudp::Impl::trim() {
    if (!idle()) return;
    settle_packets(never);
    repair_at = never;
    if (una == next) outs.release();
    if (settled == packets_end) packets.release();
    while (recent.first) {
        Loose* one = recent.pop();
        pool.give_back(one, one->size_class);
    }
    recent_count = 0;
    for (auto* numbers : {&suspects, &resends}) std::vector<std::uint64_t>().swap(*numbers);
    for (auto* numbers : {&fresh, &older}) std::vector<std::uint16_t>().swap(*numbers);
    if (ready.first || expected != highest || open_begin != none) return;
    for (; in_base < expected; ++in_base)
        if (In* one = ins.at(in_base)) release_in(one);
    ins.release();
    decoder.release();
}

}  // namespace gyre::net
