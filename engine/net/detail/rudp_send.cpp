#include <cstring>
#include <gyre/net/detail/rudp_builder.hpp>

namespace gyre::net {

using namespace rudp;

namespace {

constexpr std::uint64_t packets_unsettled_max = 8'192;
constexpr unsigned packets_per_flush = 512;
constexpr std::size_t loose_waiting_max = 256, recent_max = 64;
constexpr Duration full_ask_gap = 200ms;
constexpr double loss_on = 0.003, loss_off = 0.0015;
constexpr double few_losses = 0.025;
constexpr unsigned overdue_repairs_max = 4, overdue_rounds = 2;

}  // namespace

Result<> Rudp::Impl::send(BytesView message, Delivery how, TimePoint) {
    if (how.lane > 15) return Error(errc::bad_arguments, "lane=" + std::to_string(how.lane) + ": expected [0, 15]");
    if (message.empty() || message.size() > config.max_message_bytes)
        return Error(errc::too_large, "message of " + std::to_string(message.size()) + " bytes, limit " +
                                          std::to_string(config.max_message_bytes));
    if (how.order == Order::sequenced) drop_older(how.lane);
    if (!how.reliable() && message.size() <= loose_bytes_max) return send_loose(message, how), Result<>{};
    // Too long for a datagram: in segments, which arrive.
    if (how.order == Order::unreliable) how.order = Order::unordered;
    if (queued_bytes + message.size() > config.max_queued_bytes)
        return Error(errc::overloaded, "queued_bytes=" + std::to_string(queued_bytes) + ": the peer does not take them");
    ++counted.messages_sent;
    // Behind what waits on its lane: another queue would let it overtake.
    auto queue = static_cast<std::uint8_t>(2 - static_cast<unsigned>(how.care));
    if (how.order == Order::ordered) {
        Lane& its = lane(how.lane);
        if (its.queued > 0) queue = its.queue;
        its.queue = queue;
    }
    const std::uint16_t loose_number = how.order == Order::sequenced ? loose_next++ : std::uint16_t{0};
    const std::size_t fragments = (message.size() + fragment_bytes_max - 1) / fragment_bytes_max;
    for (std::size_t i = 0; i < fragments; ++i) {
        const BytesView part = message.subspan(i * fragment_bytes_max, std::min(fragment_bytes_max, message.size() - i * fragment_bytes_max));
        const unsigned size_class = BlockPool::class_of(sizeof(Out) + 2 + order_bytes + part.size());
        Out* const out = new (pool.take(size_class)) Out{};
        out->size_class = static_cast<std::uint8_t>(size_class);
        out->size = static_cast<std::uint16_t>(part.size());
        out->fragments = static_cast<std::uint16_t>(fragments);
        out->order = how.order, out->lane = how.lane;
        out->loose = loose_number;
        out->care = static_cast<std::uint8_t>(how.care);
        out->begins = i == 0, out->ends = i + 1 == fragments;
        out->cover = none;
        std::memcpy(out->payload(), part.data(), part.size());
        queues[queue].append(out);
        if (how.order == Order::ordered) ++lane(how.lane).queued;
        if (how.order == Order::sequenced) ++sequenced_waiting;
    }
    queued_bytes += message.size();
    return {};
}

/// What waits and is not the newest of its lane any more need not go.
void Rudp::Impl::drop_older(std::uint8_t lane) {
    for (auto* list : {&loose, &recent}) drop_loose(*list, [lane](const Loose& one) { return one.sequenced && one.lane == lane; });
    if (sequenced_waiting == 0) return;
    for (auto& queue : queues) {
        rudp::List<Out> kept;
        while (queue.first) {
            Out* const one = queue.pop();
            if (one->order != Order::sequenced || one->lane != lane || one->numbered) {
                kept.append(one);
                continue;
            }
            queued_bytes -= one->size;
            --sequenced_waiting;
            free_out(one);
        }
        queue = kept;
    }
}

void Rudp::Impl::send_loose(BytesView message, Delivery how) {
    ++counted.messages_sent;
    const bool sequenced = how.order == Order::sequenced;
    const std::size_t size = 4 + (sequenced ? 1 : 0) + message.size();
    const unsigned size_class = BlockPool::class_of(sizeof(Loose) + size);
    Loose* const one = new (pool.take(size_class)) Loose{};
    one->size = static_cast<std::uint16_t>(size);
    one->size_class = static_cast<std::uint8_t>(size_class);
    one->lane = how.lane, one->care = how.care, one->sequenced = sequenced;
    std::uint8_t* const frame = one->frame();
    write_u16(frame, unsigned{2} << 14 | (sequenced ? sequenced_bit : 0u) | message.size());
    write_u16(frame + 2, loose_next++);
    if (sequenced) frame[4] = how.lane;
    std::memcpy(one->frame() + (size - message.size()), message.data(), message.size());
    if (++loose_count > loose_waiting_max) {
        Loose* const oldest = loose.pop();
        pool.give_back(oldest, oldest->size_class);
        --loose_count;
    }
    loose.append(one);
}

template <class F>
void Rudp::Impl::drop_loose(rudp::List<Loose>& list, F drops) {
    rudp::List<Loose> kept;
    while (list.first) {
        Loose* const one = list.pop();
        if (!drops(*one)) {
            kept.append(one);
            continue;
        }
        --(&list == &loose ? loose_count : recent_count);
        pool.give_back(one, one->size_class);
    }
    list = kept;
}

bool Rudp::Impl::sensible_acks(const Packet& packet) const {
    const std::uint64_t end = output.next_number();
    const auto sent = [&](std::uint16_t low) { return whole(end - 1, low) < end; };
    if (packet.acks != AckKind::none && (end == 0 || !sent(packet.newest))) return false;
    for (std::size_t i = 0; i < packet.list.size(); i += 2)
        if (!sent(read_u16(packet.list.data() + i))) return false;
    if (!packet.has_una) return true;
    const std::uint64_t upto = whole(una, packet.una);
    if (static_cast<std::int64_t>(upto - una) <= 0) return true;
    if (upto > next) return false;
    for (std::uint64_t n = una; n < upto; ++n)
        if (!outs.at(n)->sent) return false;
    return true;
}

void Rudp::Impl::take_acks(const Packet& packet, std::uint64_t number, TimePoint now) {
    const bool in_order = number >= got_end;
    const std::size_t before = in_flight;
    const std::uint64_t end = output.next_number();
    std::size_t bytes = 0;
    Duration rtt{}, delay{};
    first_acked_sent = now;
    if (packet.acks != AckKind::none) {
        const std::uint64_t newest = whole(end - 1, packet.newest);
        if (const Sent* const one = sent_packet(newest); one && !one->acked && packet.delay != delay_unknown) {
            delay = packet.delay * delay_unit_us * 1us;
            rtt = std::max<Duration>(now - one->sent - delay, 1us);
        }
        if (packet.acks == AckKind::bitmap) {
            acked_packet(newest, now, true, bytes);
            if (in_order) {
                const std::uint64_t covers = packet.bitmap.empty() ? 8 : 8 * packet.bitmap.size();
                told_at = now;
                told_from = newest - std::min(newest, covers);
            }
            const std::size_t bits = packet.bitmap.empty() ? 8 : 8 * packet.bitmap.size();
            for (std::size_t i = 0; i < bits && i < newest; ++i)
                if (packet.bitmap.empty() || packet.bitmap[i / 8] >> (i % 8) & 1) acked_packet(newest - 1 - i, now, false, bytes);
        } else {
            for (std::size_t i = 0; i < packet.list.size(); i += 2) acked_packet(whole(end - 1, read_u16(packet.list.data() + i)), now, i == 0, bytes);
        }
    }
    // Those before the newest waited for it, unless a packet that told of them was lost.
    if (number == got_end) delay = std::max(delay, now - first_acked_sent - rtt);
    if (rtt > Duration::zero()) path.measured(rtt, delay);
    if (packet.has_una) {
        const std::uint64_t upto = whole(una, packet.una);
        for (std::uint64_t n = una; static_cast<std::int64_t>(upto - n) > 0; ++n) acked_segment(n);
    }
    while (una < next && outs.at(una)->acked) {
        free_out(outs.at(una));
        outs.set(una++, nullptr);
    }
    if (bytes > 0) {
        last_ack = now;
        path.heard();
        pace.acked(bytes, rtt, before, limited, now);
        limited = false;
    }
}

/// newest: of those that are named; the acknowledgement of others may have been lost before, which is not lateness.
void Rudp::Impl::acked_packet(std::uint64_t number, TimePoint now, bool newest, std::size_t& bytes) {
    Sent* const one = sent_packet(number);
    if (!one || one->acked) return;
    if (one->lost) {
        ++counted.spurious;
        path.spurious(one->late && newest ? now - one->declared : Duration::zero(), one->late ? Duration::zero() : one->overtaken);
    } else {
        in_flight -= one->bytes;
        bytes += one->bytes;
        first_acked_sent = std::min(first_acked_sent, one->sent);
    }
    one->acked = true;
    if (number >= newest_acked) {
        newest_acked = number + 1;
        newest_acked_sent = one->sent;
    }
    for (unsigned i = 0; i < one->count; ++i) acked_segment(whole(una, one->segments[i]));
}

void Rudp::Impl::acked_segment(std::uint64_t number) {
    if (number < una || number >= next) return;
    Out* const out = outs.at(number);
    if (!out->sent || out->acked) return;
    out->acked = true;
    queued_bytes -= out->size;
}

/// Packets count as lost which younger ones overtook, which the peer lacked when it must have had them, and of
/// which nothing was heard in time.
void Rudp::Impl::detect(TimePoint now) {
    bool any = false, late_any = false;
    for (std::uint64_t n = settled; n < packets_end; ++n) {
        Sent* const one = packets.at(n);
        if (!one || one->acked || one->lost) continue;
        const bool overtaken = n + 1 < newest_acked && newest_acked_sent - one->sent >= path.reorder();
        const bool late = now >= one->sent + path.deadline(one->patience);
        const bool missing = n >= told_from && told_at >= one->sent + path.round_trip_max();
        if (!overtaken && !late && !missing) break;
        lose(*one, !overtaken, now);
        any = true;
        late_any |= !overtaken && !missing;
    }
    if (any && late_any && now - std::max(last_ack, last_stall) >= path.deadline()) {
        last_stall = now;
        path.expired();
        pace.stalled(now);
    }
    settle_packets(now);
    if (!suspects.empty()) settle_suspects();
}

void Rudp::Impl::lose(Sent& packet, bool late, TimePoint now) {
    packet.lost = true;
    in_flight -= packet.bytes;
    ++counted.datagrams_lost;
    pace.lost(packet.bytes, now);
    packet.late = late;
    packet.declared = now;
    packet.overtaken = late ? Duration::zero() : newest_acked_sent - packet.sent;
    for (unsigned i = 0; i < packet.count; ++i) {
        const std::uint64_t number = whole(una, packet.segments[i]);
        Out* const out = number >= una && number < next ? outs.at(number) : nullptr;
        if (!out || out->acked || out->packet != packet.number) continue;
        out->late = late;
        suspects.push_back(number);
    }
}

/// Those that counted as lost stay for a while: an acknowledgement may be late.
void Rudp::Impl::settle_packets(TimePoint now) {
    const Duration kept = 2 * path.deadline();
    while (settled < packets_end) {
        Sent* const one = packets.at(settled);
        if (one) {
            if (!one->acked && (!one->lost || (now != never && now < one->sent + kept))) return;
            path.counted(one->lost && !one->acked);
            packets.set(settled, nullptr);
            pool.give_back(one, one->size_class);
        }
        ++settled;
    }
}

bool Rudp::Impl::flying(std::uint64_t packet) const {
    const Sent* const one = sent_packet(packet);
    return one && !one->acked && !one->lost;
}

/// Segments of lost packets are sent again, unless a repair is under way that may bring them.
void Rudp::Impl::settle_suspects() {
    std::erase_if(suspects, [this](std::uint64_t number) {
        Out* const out = number >= una && number < next ? outs.at(number) : nullptr;
        if (!out || out->acked || out->lost) return true;
        if (out->cover != none && flying(out->cover) && !bursts()) return false;  // in a burst both were lost
        out->lost = true;
        resends.push_back(number);
        return true;
    });
}

/// Gives the fragments of a message their numbers. False: the window has no room.
bool Rudp::Impl::assign(Out& first) {
    if (next + first.fragments > una + rudp::window) return false;
    outs.reserve(una, next + first.fragments);
    std::uint64_t distance = 0;
    if (first.order == Order::ordered) {
        Lane& its = lane(first.lane);
        if (its.last_end > una) distance = next + 1 - its.last_end;
        // Without order info its predecessor is the segment before, acknowledged or not.
        first.told_order = first.lane != 0 || (its.last_end != next && next != 0);
        its.last_end = next + first.fragments;
    } else {
        first.told_order = true;
    }
    if (first.order == Order::sequenced) {
        distance = first.loose;
        sequenced_waiting -= first.fragments;
    }
    Out* one = &first;
    for (unsigned i = 0; i < first.fragments; ++i, one = one->next) {
        one->numbered = true;
        one->number = next;
        outs.set(next++, one);
        std::uint8_t* const record = one->record().data();
        write_u16(record, (one->ends ? ends_bit : 0u) | (one->begins ? begins_bit : 0u) | (one->told_order ? order_bit : 0u) | one->size);
        if (!one->told_order) continue;
        record[2] = static_cast<std::uint8_t>(static_cast<unsigned>(one->order) << 4 | one->lane);
        write_u16(record + 3, distance);
    }
    return true;
}

/// The next segment that was never sent and may go: the most urgent one.
rudp::List<Out>* Rudp::Impl::next_queue() {
    // What has a number goes even so: the peer cannot deliver what is behind it.
    for (auto& queue : queues)
        if (queue.first && (queue.first->numbered || (!peer_full && assign(*queue.first)))) return &queue;
    return nullptr;
}

void Rudp::Impl::flush(TimePoint now) {
    blocked_until = TimePoint::min();
    if (peer_full && queues_wait() && now >= full_ask_at) {
        ask_next = true;
        full_ask_at = never;
    }
    for (unsigned burst = 0; burst < packets_per_flush; ++burst) {
        bool data = !resends.empty() || loose.first || next_queue();
        if (data && in_flight > 0 && ((config.cap && in_flight + 200 > pace.window()) || packets_end - settled >= packets_unsettled_max)) {
            limited = true;
            data = false;
        }
        if (data && config.cap)
            if (const TimePoint at = pace.next_send(std::min<std::size_t>(1'250, 200 + queued_bytes), now); at > now) {
                blocked_until = at;
                limited = true;
                data = false;
            }
        const bool repair = now >= repair_at;
        if (!data && !repair && !ask_next && now < ack_at) break;
        if (!build(now, data, repair)) break;
    }
    if (peer_full && queues_wait() && full_ask_at == never) full_ask_at = now + full_ask_gap;
}

bool Rudp::Impl::queues_wait() const { return queues[0].first || queues[1].first || queues[2].first; }

/// Sends one packet. False: there was nothing to put into it.
bool Rudp::Impl::build(TimePoint now, bool data, bool repair) {
    Builder packet;
    packet.number = output.next_number();
    if (data || !repair || now >= ack_at || ask_next) write_acks(packet, now);
    else packet.put_u8(0);
    const bool asked = ask_next;
    ask_next = false;
    const std::size_t head = packet.size;
    const std::uint64_t before = last_sent_end;
    bool fresh_data = false, urgent = false, wide = false;
    const auto put = [&](std::uint64_t number, Out& out) {
        const auto record = out.record();
        packet.put({record.data(), 2});
        packet.put_u16(number);
        packet.put({record.data() + 2, record.size() - 2});
        packet.segments[packet.segment_count++] = static_cast<std::uint16_t>(number);
        out.packet = packet.number;
        out.cover = none;
    };
    const auto fits = [&](Out& out) { return packet.segment_count < segments_max && packet.room() >= out.record().size() + 2; };
    if (data) {
        std::size_t taken = 0;
        for (; taken < resends.size(); ++taken) {
            const std::uint64_t number = resends[taken];
            Out* const out = number >= una && number < next ? outs.at(number) : nullptr;
            if (!out || out->acked || !out->lost) continue;
            if (!fits(*out)) break;
            out->lost = false;
            ++(out->late ? counted.resent_late : counted.resent_early);
            put(number, *out);
        }
        resends.erase(resends.begin(), resends.begin() + static_cast<std::ptrdiff_t>(taken));
        while (loose.first && packet.room() >= loose.first->size) {
            Loose* const one = loose.pop();
            --loose_count;
            packet.put({one->frame(), one->size});
            fresh_data = true;
            if (one->care != Care::economy && one->size <= config.repair_bytes_max && redundant()) {
                one->copies_left = 1;
                one->packet = packet.number;
                urgent |= one->care == Care::urgent;
                recent.append(one);
                if (++recent_count > recent_max) {
                    Loose* const oldest = recent.pop();
                    --recent_count;
                    pool.give_back(oldest, oldest->size_class);
                }
            } else {
                pool.give_back(one, one->size_class);
            }
        }
        if (resends.empty() && !loose.first)
            while (auto* const queue = next_queue()) {
                Out* const out = queue->first;
                if (!fits(*out)) break;
                queue->pop();
                if (out->order == Order::ordered) --lane(out->lane).queued;
                out->sent = true;
                ++counted.segments_sent;
                put(out->number, *out);
                last_sent_end = std::max(last_sent_end, out->number + 1);
                fresh_data = true;
                wide |= out->care != static_cast<std::uint8_t>(Care::economy);
                // What rides with the next packet is lost with it in a burst.
                urgent |= out->care == static_cast<std::uint8_t>(Care::urgent) || (wide && bursts());
            }
    }
    if (fresh_data) {
        if (last_data != TimePoint::min()) cadence += (std::min<Duration>(now - last_data, 1s) - cadence) / 4;
        last_data = now;
        extra_bytes = std::min(extra_bytes + config.extra_bytes_max * static_cast<double>(packet.size + datagram_overhead), 8'000.0);
    }
    if (repair || ((wide || recent.first) && redundant())) {
        unsigned count = 0;
        if (repair) ++count;
        if (wide) count += ride_count(urgent ? Care::urgent : Care::balanced);
        if (repair) repair_at = never;
        add_repairs(packet, count, repair && !fresh_data ? last_sent_end : before, now);
    }
    if (wide && !urgent && path.loss() < few_losses && redundant()) {
        // A packet of its own for some of them: few enough losses are left for the next packet to mend.
        credit += std::min(1.0, 0.35 + 19 * path.loss());
        if (credit >= 1) credit -= 1, urgent = true;
    }
    if (urgent && redundant()) repair_at = std::min(repair_at, now + config.duplicate_after);
    if (packet.size == head && !packet.told_acks && !asked) return data && !resends.empty();
    const std::uint64_t number = packet.number;
    const unsigned number_bytes = number - newest_acked < 64 ? 1 : number - newest_acked < 16'384 ? 2 : 4;
    const bool tracked = packet.size > head || asked;
    ++counted.datagrams_sent;
    const std::size_t bytes = output.output(BytesView(packet.bytes).first(packet.size), number_bytes);
    counted.bytes_sent += bytes;
    if (!tracked) return true;
    if (settled == packets_end) settled = packets_end = number;
    packets.reserve(settled, number + 1);
    packets_end = number + 1;
    const unsigned size_class = BlockPool::class_of(sizeof(Sent) + 2 * packet.segment_count);
    Sent* const sent = new (pool.take(size_class)) Sent{};
    sent->sent = now;
    sent->number = number;
    sent->patience = path.patience();
    sent->bytes = static_cast<std::uint32_t>(bytes);
    sent->size_class = static_cast<std::uint8_t>(size_class);
    sent->count = static_cast<std::uint8_t>(packet.segment_count);
    std::copy_n(packet.segments.begin(), packet.segment_count, sent->segments);
    packets.set(number, sent);
    in_flight += bytes;
    pace.sent(bytes, now);
    return true;
}

bool Rudp::Impl::redundant() {
    if (config.redundancy == Redundancy::off || config.copies_max < 2) return false;
    losing = path.loss() >= (losing ? loss_off : loss_on);
    return losing && !pace.crowded() && !limited && queued_bytes < 16 * 1024;
}

/// How many repairs ride with a packet that brings something new.
unsigned Rudp::Impl::ride_count(Care care) {
    const double loss = path.loss();
    double wanted = 0;
    if (care == Care::balanced && loss < few_losses) return 0;
    if (care == Care::balanced) wanted = loss < 0.06 ? 1 : std::min(1.4, 1 + (loss - 0.06) * 8);
    else if (!bursts()) wanted = loss > 0.075 ? 0.5 : 0;
    wanted = std::min(wanted, config.copies_max - 1.0);
    credit = std::min(credit + wanted, 4.0);
    const auto whole_ones = static_cast<unsigned>(credit);
    credit -= whole_ones;
    return whole_ones;
}

bool Rudp::Impl::affordable(const Builder& packet, std::size_t size) const {
    return packet.room() >= size && extra_bytes >= static_cast<double>(size);
}

/// Sums of what was sent in packets before, and is not known to have arrived; copies of loose messages.
void Rudp::Impl::add_repairs(Builder& packet, unsigned count, std::uint64_t before, TimePoint now) {
    for (Loose* one = recent.first; one; one = one->next) {
        if (one->packet == packet.number || one->copies_left == 0 || !affordable(packet, one->size)) continue;
        packet.put({one->frame(), one->size});
        extra_bytes -= one->size;
        one->copies_left = 0;
        ++counted.repairs_sent;
    }
    drop_loose(recent, [](const Loose& one) { return one.copies_left == 0; });
    const auto eligible = [&](std::uint64_t n) {
        Out* const out = outs.at(n);
        return out->sent && out->size <= config.repair_bytes_max && out->care != static_cast<std::uint8_t>(Care::economy);
    };
    std::uint64_t end = std::min(before, next);
    for (unsigned skipped = 0; end > una && !eligible(end - 1) && skipped < max_span; ++skipped) --end;
    std::uint64_t first = end;
    while (first > una && end - first < max_span && eligible(first - 1)) --first;
    while (first < end && outs.at(first)->acked) ++first;
    if (first == end) return;
    if (bursts())
        if (const unsigned more = overdue(first, end, now); more > 0) {
            count += more;
            repair_at = now + config.duplicate_after;
        }
    if (config.redundancy == Redundancy::copies) return add_copies(packet, count, first, end);
    std::size_t length = 0;
    for (std::uint64_t n = first; n < end; ++n) length = std::max(length, outs.at(n)->record().size());
    for (unsigned i = 0; i < count && affordable(packet, 4 + length); ++i) {
        packet.put_u16(unsigned{1} << 14 | static_cast<unsigned>(end - first - 1) << 11 | length);
        packet.put_u16(first);
        std::uint8_t* const symbol = packet.bytes.data() + packet.size;
        std::memset(symbol, 0, length);
        for (std::uint64_t n = first; n < end; ++n)
            add_scaled({symbol, length}, outs.at(n)->record(), coefficient(packet.number, packet.repair_count, n));
        packet.size += length;
        ++packet.repair_count;
        extra_bytes -= static_cast<double>(4 + length);
        ++counted.repairs_sent;
        for (std::uint64_t n = first; n < end; ++n)
            if (Out* const out = outs.at(n); !out->acked && out->cover == none) out->cover = packet.number;
    }
}

/// More of them for what should have been acknowledged by now: the next packets may be lost as well.
unsigned Rudp::Impl::overdue(std::uint64_t first, std::uint64_t end, TimePoint now) {
    const Duration usual = path.latest() + path.peer_delay() * 3 / 5 + 2ms;  // the peer's delay is its longest
    unsigned repairs = 0;
    for (std::uint64_t n = first; n < end; ++n) {
        Out& out = *outs.at(n);
        const Sent* const sent = sent_packet(out.packet);
        if (out.acked || out.repaired == overdue_rounds || !sent || now - sent->sent < usual) continue;
        ++out.repaired;
        ++repairs;
    }
    return std::min(repairs, overdue_repairs_max);
}

/// The newest ones again.
void Rudp::Impl::add_copies(Builder& packet, unsigned count, std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t n = end; n > first && count > 0; --n) {
        Out& out = *outs.at(n - 1);
        const std::size_t size = out.record().size() + 2;
        if (out.acked || out.copies + 1u >= config.copies_max || out.packet == packet.number) continue;
        if (packet.segment_count == segments_max || !affordable(packet, size)) return;
        const auto record = out.record();
        packet.put({record.data(), 2});
        packet.put_u16(n - 1);
        packet.put({record.data() + 2, record.size() - 2});
        packet.segments[packet.segment_count++] = static_cast<std::uint16_t>(n - 1);
        out.packet = packet.number;
        ++out.copies;
        --count;
        extra_bytes -= static_cast<double>(size);
        ++counted.repairs_sent;
    }
}

TimePoint Rudp::Impl::next_deadline() const {
    for (std::uint64_t n = settled; n < packets_end; ++n)
        if (const Sent* const one = packets.at(n); one && !one->acked && !one->lost)
            return one->sent + path.deadline(one->patience);
    return never;
}

}  // namespace gyre::net
