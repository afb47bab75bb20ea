#include <cstring>
#include <gyre/net/detail/rudp_builder.hpp>

namespace gyre::net {

using namespace rudp;

namespace {

constexpr unsigned repairs_max = 16;               // of one packet; no sender has use for more, and each costs time
constexpr std::uint64_t history = 16;              // segments kept below those expected, for repairs to count on
constexpr std::size_t full_held_bytes = 64 << 10;  // waiting for a reader that is held
constexpr std::size_t ack_now_bytes = 2'400;
constexpr Duration ack_delay_min = 5ms, ack_delay_max = 50ms, ack_delay_alone = 20ms;
constexpr std::size_t fresh_max = 512, older_max = 64;
constexpr std::uint8_t una_told_after_recovery = 8;
constexpr Broken no_message{errc::bad_data, "fragments that make no message"};
constexpr Broken too_long{errc::too_large, "a message above the limit"};

}  // namespace

bool Rudp::Impl::sensible_numbers(BytesView frames) const {
    Frame frame;
    while (!frames.empty() && read_frame(frames, frame)) {
        if (frame.kind == FrameClass::loose) continue;
        const std::uint64_t number = whole(expected, frame.number);
        const unsigned span = frame.kind == FrameClass::repair ? frame.span : 1;
        if (number >= expected + rudp::window || number + span > expected + rudp::window) return false;  // also below 0
    }
    return true;
}

void Rudp::Impl::take_frames(std::uint64_t packet, BytesView frames) {
    const std::uint64_t near = expected;  // numbers are told against what was there before
    unsigned repairs = 0;
    Frame frame;
    for (BytesView rest = frames; !rest.empty() && read_frame(rest, frame);) {
        const std::uint16_t head = static_cast<std::uint16_t>(read_u16(frame.bytes.data() - 4));
        if (frame.kind == FrameClass::segment) take_segment(whole(near, frame.number), frame.record, head, frame.bytes);
        else if (frame.kind == FrameClass::loose) take_loose(frame);
    }
    // What stands in this packet is known before its repairs are read.
    for (BytesView rest = frames; !rest.empty() && read_frame(rest, frame);)
        if (frame.kind == FrameClass::repair && repairs < repairs_max)
            decoder.repair(packet, repairs++, whole(near, frame.number), frame.span, frame.bytes, *this);
    take_recovered();
}

void Rudp::Impl::take_recovered() {
    if (decoder.empty()) return;
    std::uint64_t number = 0;
    Bytes bytes;
    while (decoder.recovered(number, bytes)) {
        Record record;
        std::size_t size = 0;
        if (bytes.size() < 3 || !wanted(number)) continue;
        const std::uint16_t head = read_u16(bytes.data());
        if (!read_record(head, BytesView(bytes).subspan(2), record, size)) continue;
        ++counted.recovered;
        tell_una = una_told_after_recovery;
        take_segment(number, record, head, BytesView(bytes).subspan(2, size - 2));
    }
    decoder.forget_below(expected);
}

BytesView Rudp::Impl::record(std::uint64_t number) const {
    In* const one = find_in(number);
    return one ? one->record() : BytesView{};
}
bool Rudp::Impl::wanted(std::uint64_t number) const {
    return number >= expected && number < expected + rudp::window && !find_in(number);
}

void Rudp::Impl::take_segment(std::uint64_t number, const Record& record, std::uint16_t head, BytesView behind) {
    if (number < expected || find_in(number)) return void(++counted.duplicates);
    if (broken) return;
    ins.reserve(in_base, std::max(highest, number + 1));
    const unsigned size_class = BlockPool::class_of(sizeof(In) + 2 + behind.size());
    In* const in = new (pool.take(size_class)) In{};
    in->number = number;
    in->size = static_cast<std::uint16_t>(2 + behind.size());
    in->size_class = static_cast<std::uint8_t>(size_class);
    in->begins = record.begins(), in->ends = record.ends(), in->order = record.order;
    in->lane = record.lane;
    in->distance = number == 0 && record.order == Order::ordered ? 0 : record.distance;
    in->in_ring = true;
    write_u16(in->bytes(), head);
    std::memcpy(in->bytes() + 2, behind.data(), behind.size());
    ins.set(number, in);
    in_bytes += in->memory();
    highest = std::max(highest, number + 1);
    if (!decoder.empty()) decoder.known(number, in->record());
    const bool in_order = number == expected;
    if (in_order) advance();
    complete(number);
    if (in_order) drop_history();
}

/// Moves on over what is there, and sees to it that fragments make messages.
void Rudp::Impl::advance() {
    while (In* const in = find_in(expected)) {
        if (in->begins != (open_begin == none)) return void(broken = &no_message);
        if (in->begins) open_begin = expected, open_bytes = 0;
        open_bytes += in->payload().size();
        if (open_bytes > config.max_message_bytes || expected - open_begin >= rudp::window)
            return void(broken = &too_long);
        if (in->ends) open_begin = none;
        ++expected;
    }
}

void Rudp::Impl::drop_history() {
    const std::uint64_t floor = std::min(expected > history ? expected - history : 0, open_begin);
    for (; in_base < floor; ++in_base) {
        In* const in = ins.at(in_base);
        if (!in) continue;
        ins.set(in_base, nullptr);
        in->in_ring = false;
        if (!in->listed) release_in(in);
    }
}

void Rudp::Impl::release_in(In* in) {
    in_bytes -= in->memory();
    if (in->blocked) --blocked;
    pool.give_back(in, in->size_class);
}

/// Delivers the message of a segment if that was the last it lacked.
void Rudp::Impl::complete(std::uint64_t number) {
    std::uint64_t begin = number, end = number;
    In* in = find_in(number);
    if (!in->ends && !find_in(number + 1)) return;
    for (In* one = in; !one->begins;) {
        one = begin == 0 ? nullptr : find_in(--begin);
        if (!one || one->ends) return;
    }
    for (In* one = in; !one->ends;) {
        one = find_in(++end);
        if (!one || one->begins) return;
    }
    std::size_t bytes = 0;
    for (std::uint64_t n = begin; n <= end; ++n) bytes += find_in(n)->payload().size();
    if (bytes > config.max_message_bytes) return void(broken = &too_long);
    if (deliverable(begin)) return deliver(begin, end);
    find_in(begin)->blocked = true;
    ++blocked;
}

bool Rudp::Impl::deliverable(std::uint64_t begin) const {
    const In& in = *find_in(begin);
    if (in.order != Order::ordered || in.distance == 0 || in.distance > begin) return true;
    const std::uint64_t before = begin - in.distance;
    if (before < expected && !(open_begin != none && before >= open_begin)) return true;
    const In* const last = find_in(before);
    return last && last->delivered;
}

void Rudp::Impl::deliver(std::uint64_t begin, std::uint64_t end) {
    list(begin, end);
    for (std::uint64_t n = end + 1; n < highest && blocked > 0; ++n) {
        In* const in = find_in(n);
        if (!in || !in->blocked || !deliverable(n)) continue;
        in->blocked = false;
        --blocked;
        std::uint64_t last = n;
        while (!find_in(last)->ends) ++last;
        list(n, last);
    }
}

void Rudp::Impl::list(std::uint64_t begin, std::uint64_t end) {
    const In& first = *find_in(begin);
    const bool wanted = first.order != Order::sequenced || newer(first.lane, loose_number(first.distance));
    for (std::uint64_t n = begin; n <= end; ++n) {
        In* const in = find_in(n);
        in->delivered = true;
        in->listed = wanted;
        if (wanted) ready.append(in);
    }
    ++(wanted ? counted.messages_received : counted.duplicates);
}

std::uint64_t Rudp::Impl::loose_number(std::uint16_t low) {
    if (!loose_in) loose_in = std::make_unique<LooseIn>();
    LooseIn& in = *loose_in;
    const std::uint64_t number = whole(in.newest, low);
    if (number > in.newest || !in.any) {
        const std::uint64_t ahead = number - in.newest;
        in.seen = in.any && ahead < 64 ? in.seen << ahead : 0;
        in.newest = number;
        in.any = true;
    }
    return number;
}

/// Than what was delivered on its lane; it becomes the newest then.
bool Rudp::Impl::newer(unsigned lane, std::uint64_t number) {
    if (number <= loose_in->lanes[lane]) return false;
    loose_in->lanes[lane] = number;
    return true;
}

void Rudp::Impl::take_loose(const Frame& frame) {
    const std::uint64_t number = loose_number(frame.number);
    LooseIn& in = *loose_in;
    const std::uint64_t behind = in.newest - number;
    if (frame.sequenced) {
        if (!newer(frame.lane, number)) return void(++counted.duplicates);
    } else if (behind >= 64 || in.seen >> behind & 1) {
        return void(++counted.duplicates);
    }
    if (behind < 64) in.seen |= std::uint64_t{1} << behind;
    const unsigned size_class = BlockPool::class_of(sizeof(Loose) + frame.bytes.size());
    Loose* const one = new (pool.take(size_class)) Loose{};
    one->size = static_cast<std::uint16_t>(frame.bytes.size());
    one->size_class = static_cast<std::uint8_t>(size_class);
    std::memcpy(one->frame(), frame.bytes.data(), frame.bytes.size());
    ready_loose.append(one);
    in_bytes += sizeof(Loose) + one->size;
    ++counted.messages_received;
}

bool Rudp::Impl::receive(Bytes& message) {
    if (is_held) return false;
    if (ready_loose.first) {
        Loose* const one = ready_loose.pop();
        message.assign(one->frame(), one->frame() + one->size);
        in_bytes -= sizeof(Loose) + one->size;
        pool.give_back(one, one->size_class);
        return true;
    }
    while (ready.first && superseded(*ready.first)) take_message(nullptr);
    if (!ready.first) return false;
    message.clear();
    take_message(&message);
    return true;
}

/// A newer one came while this was held.
bool Rudp::Impl::superseded(const In& first) const {
    return first.order == Order::sequenced && whole(loose_in->newest, first.distance) < loose_in->lanes[first.lane];
}

/// The first that is ready; null: drops it.
void Rudp::Impl::take_message(Bytes* message) {
    for (bool ends = false; !ends;) {
        In* const in = ready.pop();
        if (message) append(*message, in->payload());
        ends = in->ends;
        in->listed = false;
        const bool of_use = in->in_ring && (in->number >= expected || in->size <= config.repair_bytes_max + 2 + order_bytes);
        if (in->in_ring && !of_use && in->number < expected) {
            ins.set(in->number, nullptr);
            in->in_ring = false;
        }
        if (!in->in_ring) release_in(in);
    }
}

void Rudp::Impl::received_packet(std::uint64_t number, const Packet& packet, std::size_t size, TimePoint now) {
    const bool hole = number > got_end;
    if (number >= got_end) {
        if (number - got_end >= got.size()) got.reset();
        else
            for (std::uint64_t n = got_end; n < number; ++n) got.reset(n % got.size());
        got_end = number + 1;
        got_at = now;
    }
    if (got_end - number <= got.size()) got.set(number % got.size());
    if (config.acks == AckForm::list && packet.asks_for_ack && fresh.size() < fresh_max)
        fresh.push_back(static_cast<std::uint16_t>(number));
    if (!packet.asks_for_ack) return;
    unacked_bytes += size;
    const bool now_at_once = packet.ask || unacked_bytes >= ack_now_bytes || (hole && gap());
    ack_at = std::min(ack_at, now_at_once ? now : now + ack_delay(now));
}

/// Acknowledgements ride with data: they wait about as long as this end's next packet takes.
Duration Rudp::Impl::ack_delay(TimePoint now) const {
    if (last_data == TimePoint::min() || now - last_data > 100ms || cadence > ack_delay_max)
        return std::clamp<Duration>(told_last + ack_delay_alone - now, Duration::zero(), ack_delay_alone);
    return std::clamp<Duration>(cadence + cadence / 4 + 1ms, ack_delay_min, ack_delay_max);
}

void Rudp::Impl::write_acks(Builder& packet, TimePoint now) {
    std::uint8_t flags = 0;
    const std::size_t flags_at = packet.size;
    packet.put_u8(0);
    const std::uint64_t told_before = told[told_next];
    const auto late = [&] {
        const auto units = (now - got_at) / (delay_unit_us * 1us);
        return units < delay_unknown ? static_cast<std::uint8_t>(units) : delay_unknown;
    };
    if (config.acks == AckForm::bitmap && (told_before != got_end || ack_at != never) && got_end > 0) {
        const std::uint64_t newest = got_end - 1;
        const auto has = [&](std::uint64_t back) { return newest < back || got.test((newest - back) % got.size()); };
        std::uint64_t needed = std::min<std::uint64_t>(newest - std::min(newest, told_before), got.size() - 1);
        bool eight = needed <= 8;
        for (std::uint64_t back = 1; eight && back <= 8; ++back) eight = has(back);
        unsigned code = 0;
        if (!eight) {
            // Zeros at the end say nothing.
            while (needed > 1 && (newest < needed || !has(needed))) --needed;
            code = 1;
            while (code < 7 && 8 * bitmap_bytes[code] < needed) ++code;
        }
        flags |= static_cast<std::uint8_t>(static_cast<unsigned>(AckKind::bitmap) | code << 5);
        packet.put_u8(late());
        packet.put_u16(newest);
        for (std::size_t byte = 0; byte < bitmap_bytes[code]; ++byte) {
            unsigned bits = 0;
            for (unsigned bit = 0; bit < 8; ++bit) {
                const std::uint64_t back = 8 * byte + bit + 1;
                if (back < got.size() && newest >= back && has(back)) bits |= 1u << bit;
            }
            packet.put_u8(static_cast<std::uint8_t>(bits));
        }
        told[told_next] = got_end;
        told_next = static_cast<std::uint8_t>((told_next + 1) % told.size());
    } else if (config.acks == AckForm::list && !fresh.empty()) {
        const auto newest = static_cast<std::uint16_t>(got_end - 1);
        std::ranges::sort(fresh, [newest](std::uint16_t a, std::uint16_t b) {
            return static_cast<std::uint16_t>(newest - a) < static_cast<std::uint16_t>(newest - b);
        });
        packet.put_u8(fresh[0] == newest ? late() : delay_unknown);
        if (fresh.size() <= 3) {
            flags |= static_cast<std::uint8_t>(static_cast<unsigned>(AckKind::few) | (fresh.size() - 1) << 5);
            for (const std::uint16_t number : fresh) packet.put_u16(number);
        } else {
            flags |= static_cast<std::uint8_t>(AckKind::list);
            fresh.resize(std::min<std::size_t>(fresh.size(), 255));
            const std::size_t repeated = std::min({older.size(), 255 - fresh.size(), older_max});
            packet.put_u8(static_cast<std::uint8_t>(fresh.size() + repeated));
            for (const std::uint16_t number : fresh) packet.put_u16(number);
            for (std::size_t i = 0; i < repeated; ++i) packet.put_u16(older[i]);
        }
        older.insert(older.begin(), fresh.begin(), fresh.end());
        if (older.size() > older_max) older.resize(older_max);
        fresh.clear();
    }
    if (gap() || tell_una > 0) {
        flags |= una_flag;
        packet.put_u16(expected);
        if (!gap()) --tell_una;
    }
    if (ask_next) flags |= ask_flag;
    const bool full = in_bytes > config.max_received_bytes / 2 || (is_held && in_bytes > full_held_bytes);
    if (full) flags |= full_flag;
    told_full = full;
    packet.bytes[flags_at] = flags;
    packet.told_acks = packet.size > flags_at + 1;
    ack_at = never;
    told_last = now;
    unacked_bytes = 0;
}

}  // namespace gyre::net
