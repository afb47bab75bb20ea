#include <sanitizer/allocator_interface.h>

#include <cstdio>
#include <cstdlib>
#include <gyre/net/detail/fuzzed_rudp.hpp>

using namespace gyre;
using namespace gyre::net;
using net::detail::RudpEnd;
using net::detail::RudpLedger;
using net::detail::fuzzed_packet;
using Input = net::detail::FuzzInput;

namespace {

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

RudpConfig config_of(unsigned what) {
    RudpConfig config;
    config.acks = what & 1 ? AckForm::list : AckForm::bitmap;
    config.redundancy = static_cast<Redundancy>((what >> 1 & 3) % 3);
    config.cap = what & 8;
    config.max_message_bytes = 100'000;
    config.max_queued_bytes = 300'000;
    config.max_received_bytes = 400'000;
    return config;
}

Delivery delivery_of(unsigned what) {
    return {static_cast<Order>(what & 3), static_cast<std::uint8_t>(what >> 2 & 15), static_cast<Care>((what >> 6) % 3)};
}

constexpr std::size_t memory_max = 12 << 20;  // of two links with all that the limits allow

/// Two honest ends; packets are lost, repeated and reordered as the fuzzer likes. What must arrive does, once and in
/// order of its lane, and then both are quiet.
struct Pair {
    Pair(unsigned what, std::uint64_t first) : config(config_of(what)), a(config, pool, first), b(config, pool, first) {}

    RudpEnd& end(unsigned i) { return i ? b : a; }
    void give(unsigned to, const RudpEnd::Sent& packet) {
        if (!end(to).rudp.input(packet.number, packet.plain, now)) fail("an honest packet was refused");
    }
    void hear(unsigned i) {
        while (end(i).rudp.receive(message))
            if (const std::string wrong = ledgers[i].take(message); !wrong.empty()) fail(wrong.c_str());
    }
    void touch(unsigned i) {
        if (end(i).rudp.update(now) <= now) fail("it wants to be called in the past");
        if (end(i).rudp.queued_bytes() > config.max_queued_bytes) fail("too much is queued");
        if (end(i).sent.size() > 4096) end(i).sent.erase(end(i).sent.begin(), end(i).sent.end() - 2048);
    }
    void run(Input in) {
        while (!in.empty()) {
            const unsigned what = in.u8(), i = what & 1;
            auto& flying = end(i ^ 1).sent;  // to this end
            switch (what >> 1 & 7) {
                case 0: {
                    const Delivery how = delivery_of(in.u8());
                    std::size_t size = in.u8();
                    if (what & 0x80) size *= 256;
                    const Bytes bytes = ledgers[i ^ 1].make(size, how);
                    if (!end(i).rudp.send(bytes, how, now)) ledgers[i ^ 1].unmake();
                    break;
                }
                case 1: now += std::chrono::milliseconds(1 + (what >> 4) * 3); break;
                case 2: case 3: {  // any of those under way, or it is lost
                    if (flying.empty()) break;
                    const auto at = flying.begin() + static_cast<std::ptrdiff_t>(in.u8() % flying.size());
                    if (what & 0x10) give(i, *at);
                    if (!(what & 0x20)) flying.erase(at);  // else it comes again
                    break;
                }
                case 4:
                    for (unsigned n = 1 + (what >> 4); n > 0 && !flying.empty(); --n) {
                        give(i, flying.front());
                        flying.pop_front();
                    }
                    break;
                case 5: for (unsigned n = 1 + (what >> 4); n > 0 && !flying.empty(); --n) flying.pop_front(); break;
                case 6: end(i).rudp.hold(what & 0x10); break;
                default:
                    if (what & 0x10) end(i).rudp.ask();
                    else if (what & 0x20) end(i).rudp.trim();
            }
            hear(i);
            touch(i);
            if (what & 0x40) touch(i ^ 1);
        }
        for (unsigned i : {0u, 1u}) end(i).rudp.hold(false);
        const TimePoint limit = now + 120s;
        TimePoint wake[2] = {now, now};
        while (true) {
            for (unsigned i : {0u, 1u}) {
                hear(i);
                wake[i] = end(i).rudp.update(now);
            }
            const bool flying = !a.sent.empty() || !b.sent.empty();
            if (!flying && wake[0] == TimePoint::max() && wake[1] == TimePoint::max()) break;
            if (now > limit) fail("it never comes to rest");
            now = flying ? now + 20ms : std::max(now + 1us, std::min(wake[0], wake[1]));
            std::deque<RudpEnd::Sent> taken[2];
            taken[0].swap(a.sent), taken[1].swap(b.sent);
            for (unsigned i : {0u, 1u})
                for (const auto& packet : taken[i ^ 1]) give(i, packet);
        }
        for (unsigned i : {0u, 1u}) {
            if (ledgers[i].owed() > 0) fail("a message never came");
            if (!end(i).rudp.idle() || end(i).rudp.queued_bytes() > 0) fail("not idle");
        }
    }

    const RudpConfig config;
    BlockPool pool;
    TimePoint now{1s};
    RudpEnd a, b;
    RudpLedger ledgers[2];  // of what end i receives
    Bytes message;
};

/// One end that is used as intended, and a peer with the key that says what it likes.
void hostile(unsigned what, std::uint64_t first, Input in) {
    const RudpConfig config = config_of(what);
    BlockPool pool(64 << 10);
    RudpEnd end(config, pool, first);
    TimePoint now{1s};
    std::uint64_t number = first, expected = 0;
    Bytes message;
    const std::size_t memory = __sanitizer_get_current_allocated_bytes();
    while (!in.empty()) {
        const unsigned step = in.u8();
        switch (step & 7) {
            case 0: {
                const Delivery how = delivery_of(in.u8());
                std::size_t size = 1 + in.u8() * (step & 0x40 ? 100u : 1u);
                (void)end.rudp.send(Bytes(size, 7), how, now);
                break;
            }
            case 1: now += std::chrono::milliseconds(step >> 3); break;
            case 2: number += in.u16() << (step >> 3 & 15); break;  // jumps
            case 3: end.rudp.hold(step & 8); break;
            case 4: {
                const BytesView raw = in.bytes(in.u8());
                (void)end.rudp.input(number++, raw, now);
                break;
            }
            default: {
                // The number may be one of before: sealed packets come in any order.
                const std::uint64_t its = step & 0x80 ? number - std::min<std::uint64_t>(number, in.u8()) : number++;
                const Bytes packet = fuzzed_packet(in, end.number, expected);
                for (unsigned again = 0; again <= (step >> 3 & 3) * 20; ++again) (void)end.rudp.input(its, packet, now);
                break;
            }
        }
        for (int i = 0; i < 200 && end.rudp.receive(message); ++i)
            if (message.empty() || message.size() > config.max_message_bytes) fail("a message of a forbidden size");
        if (end.rudp.update(now) <= now) fail("it wants to be called in the past");
        end.sent.clear();
        if (end.rudp.queued_bytes() > config.max_queued_bytes) fail("too much is queued");
        const std::size_t used = __sanitizer_get_current_allocated_bytes();
        if (used > memory + memory_max) fail("too much memory");
    }
}

/// Two honest ends with a link that changes what it carries. Nothing is promised but that both live.
void changed(unsigned what, std::uint64_t first, Input in) {
    const RudpConfig config = config_of(what);
    BlockPool pool;
    RudpEnd ends[2] = {{config, pool, first}, {config, pool, first}};
    TimePoint now{1s};
    Bytes message;
    while (!in.empty()) {
        const unsigned step = in.u8(), i = step & 1;
        switch (step >> 1 & 3) {
            case 0: (void)ends[i].rudp.send(Bytes(1 + in.u8() * (step & 0x80 ? 40u : 1u), 7), delivery_of(in.u8()), now); break;
            case 1: now += std::chrono::milliseconds(step >> 3); break;
            default:
                for (auto& packet : std::exchange(ends[i ^ 1].sent, {})) {
                    if (step & 8) continue;
                    if (step & 16 && !packet.plain.empty())
                        for (const std::uint8_t at : in.bytes(3)) packet.plain[at % packet.plain.size()] ^= static_cast<std::uint8_t>(at | 1);
                    if (step & 32) packet.plain.resize(packet.plain.size() - std::min<std::size_t>(packet.plain.size(), in.u8()));
                    (void)ends[i].rudp.input(packet.number, packet.plain, now);
                }
        }
        while (ends[i].rudp.receive(message))
            if (message.empty() || message.size() > config.max_message_bytes) fail("a message of a forbidden size");
        if (ends[i].rudp.update(now) <= now) fail("it wants to be called in the past");
    }
}

}  // namespace

/// Links of RUDP without a network: an honest pair on a bad path, a hostile peer, and packets that change on their way.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in{{data, size}};
    const unsigned what = in.u8();
    static constexpr std::uint64_t firsts[] = {0, 250, 65'500, 0xFFFF'FFE0};  // numbers of packets wrap soon
    const std::uint64_t first = firsts[what >> 4 & 3];
    switch (what >> 6) {
        case 0: case 1: Pair(what, first).run(in); break;
        case 2: hostile(what, first, in); break;
        default: changed(what, first, in);
    }
    return 0;
}
