#include <cstring>
#include <gyre/net/channel.hpp>

namespace gyre::net {
namespace {

constexpr std::size_t head_bytes = 4;

std::uint32_t read_length(const std::uint8_t* p) {
    return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
           static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}

class StreamChannel final : public Channel, io::StreamHandler {
public:
    StreamChannel(std::unique_ptr<io::Stream> stream, ChannelConfig config)
        : stream_(std::move(stream)), limit_(config.max_message_bytes) {}
    ~StreamChannel() override {
        if (gone_) *gone_ = true;
    }

    void start(ChannelHandler& handler) override {
        const bool first = handler_ == nullptr;
        handler_ = &handler;
        if (first) stream_->start(*this);
    }
    void send(BytesView message, Delivery) override {
        GYRE_ASSERT(!message.empty() && message.size() <= limit_, "message within the limit");
        if (closed_) return;
        const auto n = static_cast<std::uint32_t>(message.size());
        const std::uint8_t head[head_bytes] = {
            static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8),
            static_cast<std::uint8_t>(n >> 16), static_cast<std::uint8_t>(n >> 24)};
        ++stats_.messages_sent;
        stats_.bytes_sent += head_bytes + message.size();
        stream_->write({head, head_bytes}, message);
    }
    std::size_t unsent_bytes() const override { return stream_->unsent_bytes(); }
    void pause(bool paused) override {
        if (!closed_) stream_->pause(paused);
    }
    void close() noexcept override {
        closed_ = true;
        stream_->close();
    }
    std::string peer() const override { return stream_->peer().to_string(); }
    std::size_t max_message_bytes() const override { return limit_; }
    LinkStats stats() const override {
        LinkStats stats = stats_;
        stats.transport = "tcp";
        stats.queued_bytes = unsent_bytes();
        return stats;
    }

private:
    void on_data(BytesView bytes) override {
        bool gone = false;
        gone_ = &gone;
        stats_.bytes_received += bytes.size();
        if (partial_.empty()) {
            const std::size_t used = deliver(bytes, gone);
            if (gone) return;
            partial_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
        } else {
            append_bounded(bytes, gone);
            if (gone) return;
        }
        gone_ = nullptr;
    }
    // A frame began in an earlier read: complete it, then go on in place.
    void append_bounded(BytesView bytes, bool& gone) {
        while (!bytes.empty() && !closed_) {
            const std::size_t wanted =
                partial_.size() < head_bytes ? head_bytes : head_bytes + read_length(partial_.data());
            const std::size_t take = std::min(bytes.size(), wanted - partial_.size());
            append(partial_, bytes.first(take));
            bytes = bytes.subspan(take);
            if (partial_.size() < head_bytes) return;
            const std::size_t length = read_length(partial_.data());
            if (!allowed(length)) return;
            if (partial_.size() < head_bytes + length) continue;
            Bytes frame;
            frame.swap(partial_);
            ++stats_.messages_received;
            handler_->on_message(BytesView(frame).subspan(head_bytes));
            if (gone || closed_) return;
            frame.clear();
            partial_.swap(frame);
            const std::size_t used = deliver(bytes, gone);
            if (gone) return;
            bytes = bytes.subspan(used);
            append(partial_, bytes);
            return;
        }
    }
    /// Returns how many bytes were whole frames.
    std::size_t deliver(BytesView bytes, bool& gone) {
        std::size_t at = 0;
        while (!closed_ && bytes.size() - at >= head_bytes) {
            const std::size_t length = read_length(bytes.data() + at);
            if (!allowed(length)) return bytes.size();
            if (bytes.size() - at - head_bytes < length) break;
            ++stats_.messages_received;
            handler_->on_message(bytes.subspan(at + head_bytes, length));
            if (gone) return bytes.size();
            at += head_bytes + length;
        }
        return closed_ ? bytes.size() : at;
    }
    bool allowed(std::size_t length) {
        if (length > 0 && length <= limit_) return true;
        closed_ = true;
        stream_->close();
        const std::string what =
            "frame of " + std::to_string(length) + " bytes, limit " + std::to_string(limit_);
        handler_->on_closed(length == 0 ? Error(errc::bad_data, "empty frame")
                                        : Error(errc::too_large, what));
        return false;
    }
    void on_closed(const Error& reason) override {
        closed_ = true;
        if (handler_) handler_->on_closed(reason);
    }
    void on_drained() override { handler_->on_drained(); }

    std::unique_ptr<io::Stream> stream_;
    ChannelHandler* handler_ = nullptr;
    std::size_t limit_;
    Bytes partial_;
    LinkStats stats_;
    bool closed_ = false;
    bool* gone_ = nullptr;  // set while a handler runs: it may destroy this channel
};

}  // namespace

std::unique_ptr<Channel> stream_channel(std::unique_ptr<io::Stream> stream, ChannelConfig config) {
    return std::make_unique<StreamChannel>(std::move(stream), config);
}

Mailbox::Mailbox(Channel& channel, std::size_t limit) : channel_(channel), limit_(limit) {
    channel_.start(*this);
}
Mailbox::~Mailbox() {
    if (handed_over_) return;
    // Until the next handler takes over, what arrives has nobody to hear it.
    struct Deaf final : ChannelHandler {
        void on_message(BytesView) override {}
        void on_closed(const Error&) override {}
    };
    static constinit Deaf deaf;
    channel_.start(deaf);
    resume();
}
void Mailbox::resume() {
    if (std::exchange(paused_, false) && !closed()) channel_.pause(false);
}

Task<Bytes> Mailbox::receive() {
    if (messages_.size() == 0 && failure_) throw *failure_;
    auto message = co_await as_result(messages_.pop());
    if (messages_.size() < limit_) resume();
    if (message) co_return std::move(*message);
    throw failure_ ? *failure_ : message.error();
}

std::vector<Bytes> Mailbox::take_rest() {
    handed_over_ = true;
    resume();
    return messages_.take_all();
}

void Mailbox::on_message(BytesView message) {
    (void)messages_.try_push(Bytes(message.begin(), message.end()));
    if (messages_.size() >= limit_ && !std::exchange(paused_, true)) channel_.pause(true);
}
void Mailbox::on_closed(const Error& reason) {
    if (!failure_) failure_ = reason;
    messages_.close();
}

}  // namespace gyre::net
