#pragma once
#include <cstdint>
#include <gyre/base/delivery.hpp>
#include <gyre/io/io.hpp>
#include <gyre/net/link_stats.hpp>
#include <gyre/task/sync.hpp>
#include <memory>
#include <string>
#include <vector>

namespace gyre::net {

/// What happens on a channel, told on the loop, outside of tasks.
class ChannelHandler {
public:
    virtual ~ChannelHandler() = default;
    /// One whole message; valid during the call only. May close or destroy the channel.
    virtual void on_message(BytesView message) = 0;
    /// The last call. Errors: disconnected, timed_out, bad_data, too_large.
    virtual void on_closed(const Error& reason) = 0;
    virtual void on_drained() {}  ///< As io::StreamHandler::on_drained.
};

/// Whole messages to and from one peer. Destroying it closes it.
class Channel {
public:
    virtual ~Channel() = default;
    virtual void start(ChannelHandler& handler) = 0;  ///< Begins to receive; again: moves on.
    /// Leaves with everything else sent in this loop turn. Never blocks.
    /// Longer than the limit is our own mistake and asserts.
    virtual void send(BytesView message, Delivery how = {}) = 0;
    virtual std::size_t unsent_bytes() const = 0;
    virtual void pause(bool paused) = 0;
    virtual void close() noexcept = 0;  ///< Sends what was written first. No call-back follows.
    virtual std::string peer() const = 0;
    virtual std::size_t max_message_bytes() const = 0;
    /// All that is sent arrives in order, whatever Delivery it asked for.
    virtual bool keeps_order() const { return true; }
    virtual LinkStats stats() const = 0;
};

struct ChannelConfig {
    std::size_t max_message_bytes = 1 << 20;  ///< [1 KiB, 64 MiB].
};

/// Messages with a 4-byte length over a stream (protocol/framing.md).
std::unique_ptr<Channel> stream_channel(std::unique_ptr<io::Stream> stream, ChannelConfig config);

/// Receives by awaiting: for handshakes. Then take_rest() and give the channel to its handler.
class Mailbox : public ChannelHandler {
public:
    /// The peer is not read while `limit` messages wait; what one read brought is kept.
    explicit Mailbox(Channel& channel, std::size_t limit = 4);
    ~Mailbox() override;
    /// Errors: what ended the channel.
    Task<Bytes> receive();
    /// What came after the last receive(), in order. The last call: the channel goes to another
    /// handler before anything is awaited.
    std::vector<Bytes> take_rest();
    bool closed() const { return messages_.closed(); }
    void on_message(BytesView message) override;
    void on_closed(const Error& reason) override;

private:
    void resume();
    Channel& channel_;
    std::size_t limit_;
    Queue<Bytes> messages_;
    std::optional<Error> failure_;
    bool paused_ = false;
    bool handed_over_ = false;
};

}  // namespace gyre::net
