#include <cstdlib>
#include <gyre/net/channel.hpp>
#include <gyre/net/detail/scripted_stream.hpp>

using namespace gyre;

namespace {
struct Checker : net::ChannelHandler {
    void on_message(BytesView message) override {
        if (ended || message.empty() || message.size() > 1024) std::abort();
        append(heard, message);
        if (--left == 0) channel->reset();
    }
    void on_closed(const Error&) override {
        if (std::exchange(ended, true)) std::abort();
        channel->reset();
    }
    std::unique_ptr<net::Channel>* channel = nullptr;
    Bytes heard;
    unsigned left = 0;
    bool ended = false;
};

Bytes run(BytesView bytes, std::size_t chunk, unsigned until) {
    net::detail::ScriptedStream::Wire wire;
    auto channel = net::stream_channel(
        std::make_unique<net::detail::ScriptedStream>(wire), {1024});
    Checker checker;
    checker.channel = &channel;
    checker.left = until;
    channel->start(checker);
    while (!bytes.empty()) {
        const std::size_t n = std::min(chunk, bytes.size());
        wire.arrive(bytes.first(n));
        bytes = bytes.subspan(n);
    }
    wire.end();
    return checker.heard;
}
}  // namespace

/// However a stream is cut into reads, the same messages come out of it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const BytesView bytes(data + 2, size - 2);
    const unsigned until = data[1];
    if (run(bytes, data[0] + 1u, until) != run(bytes, size, until)) std::abort();
    return 0;
}
