#pragma once
#include <gyre/net/channel.hpp>
#include <gyre/rpc/detail/pending.hpp>
#include <gyre/rpc/target.hpp>
#include <gyre/base/id_map.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace gyre {
class Reader;
}

namespace gyre::rpc {

struct ConnectionConfig {
    Duration heartbeat = 500ms;         ///< A ping this often.
    Duration dead_after = 1500ms;       ///< Nothing heard for this long: timed_out.
    std::size_t max_unsent_bytes = 4 << 20;  ///< Callers wait above this. At least 64 KiB.
    /// Calls in progress; above, the peer is not read. While calls to it wait for their replies it
    /// must be read: then those above end `overloaded`.
    std::size_t max_incoming = 4096;
    std::size_t cut_unsent_bytes = 0;   ///< Not 0: a peer that leaves this much unread for
    Duration cut_after = 1s;            ///< this long is closed, `overloaded`; at once above 4 times.
    std::size_t max_names = 4096;       ///< Numbered per direction. Both ends must agree.
    bool trusted = false;               ///< A node: its frames may carry a caller stamp.
    CallerId stamp;                       ///< Of calls that come in without a stamp.
};

struct CallOptions {
    Duration limit = 5s;                      ///< Time-out; a nearer deadline of the task wins.
    CallerId caller;                            ///< Stamp, on trusted links.
    Form form = Form::indexes;                ///< Of the reply.
};

/// The message with which either end says why it closes; also in place of a handshake message.
Bytes bye_message(const Error& reason);
std::optional<Error> read_bye(BytesView message);  ///< Nothing: it is no bye.

/// Calls in both directions over one channel. Use on its loop only.
class Connection final : public net::ChannelHandler,
                         public Responder::Sink,
                         detail::PendingTable::Owner,
                         public std::enable_shared_from_this<Connection> {
public:
    /// `early`: messages that came behind the handshake.
    static std::shared_ptr<Connection> open(Executor& executor,
                                            std::unique_ptr<net::Channel> channel,
                                            ConnectionConfig config, Target& target,
                                            std::function<void(const Error&)> on_closed,
                                            std::vector<Bytes> early = {});
    ~Connection() override;

    /// The reply's value, still encoded. At most once. Errors: the callee's; timed_out,
    /// disconnected, cancelled (it may have run); too_large (it has not).
    Task<Bytes> call(EntityId entity, MethodName method, Bytes arguments, CallOptions options);
    /// The same in three steps, without a frame or copy of its own: while has_room(), write the
    /// arguments to begin_call(), then end_call(), then await the reply, and nothing between them.
    /// Error of end_call: too_large.
    bool has_room() const { return channel_ && !is_full() && !drained_.has_waiters(); }
    Task<> wait_for_room(TimePoint at);
    Writer& begin_call(detail::PendingReply& reply, EntityId entity, const MethodName& method,
                       const CallOptions& options, TimePoint at);
    void end_call(detail::PendingReply& reply, const MethodName& method);
    /// One way, as method.delivery says. False when it was dropped: closed, too large, or the peer reads too slowly.
    bool notify(EntityId entity, MethodName method, BytesView arguments, CallerId caller = {});
    /// Says why, sends what was written, ends pending calls `disconnected`. Idempotent.
    /// on_closed is not called.
    void close(const Error& reason);
    bool open() const { return channel_ != nullptr; }
    std::string peer() const { return channel_ ? channel_->peer() : "closed"; }
    std::size_t unsent_bytes() const { return channel_ ? channel_->unsent_bytes() : 0; }
    net::LinkStats stats() const { return channel_ ? channel_->stats() : net::LinkStats{}; }
    std::size_t pending_calls() const { return pending_.size(); }
    ConnectionConfig& config() { return config_; }

    void fail(std::uint64_t call, const Error& error) override;
    Writer& begin_result(std::uint64_t call) override;
    void end_result(std::uint64_t call) override;
    void on_message(BytesView message) override;
    void on_closed(const Error& reason) override;
    void on_drained() override;

private:
    Connection(Executor& executor, std::unique_ptr<net::Channel> channel, ConnectionConfig config,
               Target& target, std::function<void(const Error&)> on_closed);
    void beat();
    void ping();
    bool is_full() const {
        return channel_ && channel_->unsent_bytes() > config_.max_unsent_bytes;
    }
    bool read_frame(BytesView message);
    bool read_call(Reader& reader);
    static bool read_name(Reader& reader, std::string_view& name);
    void number_name(const MethodName& method);
    bool add_name(const MethodName& method);
    void tell_name(const MethodName& method);
    void gave_up(std::uint64_t id) override;
    void write_call_head(std::uint64_t id, EntityId entity, const MethodName& method,
                         const CallOptions& options, Duration left, bool overtakes = false);
    bool fits(const MethodName& method);
    void send_small(std::uint8_t kind);
    void answered();
    void resume_reading();
    void send_frame(Delivery how = {});
    void cut_slow_reader();
    void break_off(const Error& reason);
    void end(const Error& reason);

    Executor& executor_;
    std::unique_ptr<net::Channel> channel_;
    ConnectionConfig config_;
    Target& target_;
    std::function<void(const Error&)> on_closed_;
    detail::PendingTable pending_;
    struct SentName {
        std::uint32_t number;
        std::uint64_t known_with;  // the pong that shows that the peer has heard of it
    };
    IdMap<SentName> sent_names_;
    std::uint64_t pings_ = 0, pongs_ = 0;
    struct Name {
        std::string text;
        std::uint64_t id;
    };
    std::vector<std::unique_ptr<const Name>> known_names_;  // calls in progress may refer to one
    Signal drained_;
    Alarm beat_, slow_;
    TimePoint heard_, beat_at_;
    Writer frame_;
    bool new_name_ = false;  // in frame_
    std::size_t incoming_ = 0;
    bool paused_ = false;
    bool lost_frames_ = false;
};

}  // namespace gyre::rpc
