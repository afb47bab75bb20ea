#include <cstdlib>
#include <gyre/net/kcp.hpp>
#include <vector>

using namespace gyre;
using namespace gyre::net;

namespace {

struct Out final : KcpOutput {
    void output(BytesView datagram) override {
        if (datagram.size() > 1400) std::abort();
        sent.emplace_back(datagram.begin(), datagram.end());
        if (sent.size() > 4096) std::abort();  // more than the windows admit at a time
    }
    std::vector<Bytes> sent;
};

}  // namespace

/// Two ends that speak honestly, and a third who feeds them whatever it likes, by a clock it sets. Each byte
/// chooses what happens next.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    KcpConfig config = kcp_fast();
    if (size > 0 && data[0] & 1) config = kcp_normal();
    config.stream = size > 0 && data[0] & 2;
    config.send_window = config.receive_window = 32;
    config.max_queued_bytes = 100'000;
    KcpPool pool;
    Out out[2];
    Kcp ends[2] = {Kcp(1, config, pool, out[0]), Kcp(1, config, pool, out[1])};
    TimePoint now{1s};
    std::size_t at = 1;
    const auto take = [&](std::size_t count) {
        const std::size_t n = std::min(count, size - at);
        const BytesView bytes(data + at, n);
        at += n;
        return bytes;
    };
    Bytes message;
    while (at < size) {
        const std::uint8_t what = data[at++];
        Kcp& end = ends[what & 1];
        Out& mine = out[what & 1];
        switch (what >> 1 & 7) {
            case 0: (void)end.send(take(at < size ? data[at] * 8u : 0)); break;
            case 1: (void)end.update(now); break;
            case 2: now += std::chrono::milliseconds(what >> 4) * 10; break;
            case 3:  // honest: what the other end sent
                for (const Bytes& datagram : std::exchange(out[(what & 1) ^ 1].sent, {})) (void)end.input(datagram, now);
                break;
            case 4: {  // forged, with the right conv
                Bytes forged{1, 0, 0, 0};
                append(forged, take(at < size ? data[at] : 0));
                (void)end.input(forged, now);
                break;
            }
            case 5: {  // one of its own, changed
                if (mine.sent.empty()) break;
                Bytes changed = mine.sent[what % mine.sent.size()];
                for (const std::uint8_t flip : take(4)) changed[flip % changed.size()] ^= static_cast<std::uint8_t>(flip | 1);
                (void)end.input(changed, now);
                break;
            }
            case 6: (void)end.receive(message); break;
            default: end.hold(what & 0x10); mine.sent.clear();
        }
        if (end.queued_bytes() > config.max_queued_bytes) std::abort();
        const TimePoint next = end.update(now);
        if (next <= now) std::abort();
    }
    return 0;
}
