#include <algorithm>
#include <gyre/base/hash.hpp>
#include <gyre/codec/reader.hpp>
#include <gyre/log/log.hpp>
#include <gyre/rpc/connection.hpp>

namespace gyre::rpc {
namespace {

enum FrameKind : std::uint8_t {
    call_frame = 1, result_frame, error_frame, cancel_frame, ping_frame, pong_frame, bye_frame, name_frame
};
constexpr std::uint64_t flag_names = 1, flag_stamp = 2, flag_unnumbered = 4;
constexpr std::size_t max_name_bytes = 128;
constexpr std::size_t max_error_text = 512;

}  // namespace

Bytes bye_message(const Error& reason) {
    Writer writer;
    writer.unsigned_integer(bye_frame);
    writer.text(std::string_view(reason.code()).substr(0, max_name_bytes));
    writer.text(std::string_view(reason.message()).substr(0, max_error_text));
    return writer.take();
}

std::optional<Error> read_bye(BytesView message) {
    Reader reader(message);
    std::uint8_t kind = 0;
    std::string_view code, text;
    if (!reader.integer(kind) || kind != bye_frame || !reader.text(code) || !reader.text(text) ||
        !reader.finish())
        return {};
    return Error(code.substr(0, max_name_bytes), std::string(text.substr(0, max_error_text)));
}

std::shared_ptr<Connection> Connection::open(Executor& executor,
                                             std::unique_ptr<net::Channel> channel,
                                             ConnectionConfig config, Target& target,
                                             std::function<void(const Error&)> on_closed,
                                             std::vector<Bytes> early) {
    std::shared_ptr<Connection> connection(new Connection(executor, std::move(channel), config,
                                                          target, std::move(on_closed)));
    const auto keep = connection;  // an early message may close it
    connection->channel_->start(*connection);
    for (const Bytes& message : early)
        if (connection->open()) connection->on_message(message);
    return keep;
}

Connection::Connection(Executor& executor, std::unique_ptr<net::Channel> channel,
                       ConnectionConfig config, Target& target,
                       std::function<void(const Error&)> on_closed)
    : executor_(executor),
      channel_(std::move(channel)),
      config_(config),
      target_(target),
      on_closed_(std::move(on_closed)),
      pending_(this),
      beat_(executor, [this] { beat(); }),
      slow_(executor, [this] { cut_slow_reader(); }),
      heard_(executor.now()),
      beat_at_(heard_) {
    beat_.every(config_.heartbeat);
}

Connection::~Connection() { end(Error(errc::disconnected, "the connection was dropped")); }

void Connection::beat() {
    const TimePoint before = std::exchange(beat_at_, executor_.now());
    // The silence is ours: we do not read now, or this process stood still.
    if (paused_ || beat_at_ - before > 2 * config_.heartbeat) heard_ = beat_at_;
    const Duration silence = executor_.now() - heard_;
    if (silence >= config_.dead_after) {
        break_off(Error(errc::timed_out, "nothing heard from " + peer() + " for " +
                                        std::to_string(silence / 1ms) + " ms"));
        return;
    }
    ping();
}

void Connection::ping() {
    ++pings_;
    send_small(ping_frame);
}

Task<Bytes> Connection::call(EntityId entity, MethodName method, Bytes arguments,
                             CallOptions options) {
    const auto keep = shared_from_this();
    const TimePoint at = std::min(Chain::running().deadline, executor_.after(options.limit));
    if (channel_ && !has_room()) co_await wait_for_room(at);
    detail::PendingReply reply(executor_);
    (void)reply.await_ready();  // a cancelled task sends nothing
    begin_call(reply, entity, method, options, at).encoded(arguments);
    end_call(reply, method);
    const BytesView value = co_await reply;
    co_return Bytes(value.begin(), value.end());
}

Writer& Connection::begin_call(detail::PendingReply& reply, EntityId entity,
                               const MethodName& method, const CallOptions& options, TimePoint at) {
    if (!channel_) throw Error(errc::disconnected, std::string(method.text));
    if (at <= executor_.now()) throw Error(errc::timed_out, "its deadline has passed");
    pending_.add(reply, at);
    if (paused_) resume_reading();
    write_call_head(reply.id(), entity, method, options, at - executor_.now());
    return frame_;
}

void Connection::end_call(detail::PendingReply& reply, const MethodName& method) {
    if (!fits(method)) {
        (void)pending_.take(reply.id());
        throw Error(errc::too_large, std::string(method.text) + ": arguments of about " +
                                         std::to_string(frame_.size()) + " bytes, limit " +
                                         std::to_string(channel_->max_message_bytes()));
    }
    send_frame();
}

/// Of the call in frame_; forgets it when it is too large.
bool Connection::fits(const MethodName& method) {
    if (frame_.size() <= channel_->max_message_bytes()) return true;
    if (new_name_) sent_names_.erase(method.id);
    return false;
}

Task<> Connection::wait_for_room(TimePoint at) {
    Alarm limit(executor_, [this] { drained_.notify_all(); });
    limit.in(at - executor_.now());
    do {
        if (at <= executor_.now()) throw Error(errc::timed_out, peer() + " reads too slowly");
        co_await drained_.wait();
    } while (is_full());
}

bool Connection::notify(EntityId entity, MethodName method, BytesView arguments, CallerId caller) {
    if (!channel_ || is_full()) return false;
    CallOptions options;
    options.caller = caller;
    const bool overtakes = !method.delivery.in_order() && !channel_->keeps_order();
    if (overtakes) tell_name(method);
    write_call_head(0, entity, method, options, Duration::zero(), overtakes);
    frame_.encoded(arguments);
    if (!fits(method)) return false;
    send_frame(method.delivery);
    return true;
}

void Connection::write_call_head(std::uint64_t id, EntityId entity, const MethodName& method,
                                 const CallOptions& options, Duration left, bool overtakes) {
    frame_.clear();
    frame_.unsigned_integer(call_frame);
    frame_.unsigned_integer(id);
    frame_.unsigned_integer(entity);
    const SentName* known = sent_names_.find(method.id);
    new_name_ = false;
    if (known && (!overtakes || pongs_ >= known->known_with)) {
        frame_.unsigned_integer(known->number);
        overtakes = false;
    } else {
        GYRE_ASSERT(method.text.size() <= max_name_bytes, "a method's name is short");
        frame_.text(method.text);
        if (!overtakes) new_name_ = add_name(method);
    }
    const auto left_ms = static_cast<std::uint64_t>(left / 1ms + (left % 1ms != 0ns));
    frame_.unsigned_integer(left_ms);
    const CallerId& caller = options.caller;
    const bool stamped = caller.is_client() || caller.entity != 0;
    frame_.unsigned_integer((options.form == Form::names ? flag_names : 0) | (stamped ? flag_stamp : 0) |
                            (overtakes ? flag_unnumbered : 0));
    if (stamped) {
        frame_.unsigned_integer(caller.entity);
        frame_.unsigned_integer(caller.session);
    }
    frame_.unsigned_integer(current ? current->trace : 0);
    frame_.set_form(Form::indexes);
}

/// False: there are too many, it goes as text.
bool Connection::add_name(const MethodName& method) {
    if (sent_names_.size() >= config_.max_names) return false;
    sent_names_.insert(method.id, SentName{static_cast<std::uint32_t>(sent_names_.size()), pings_ + 1});
    return true;
}

/// Numbers count in order, so a call that may arrive before others cannot bring one.
void Connection::tell_name(const MethodName& method) {
    if (sent_names_.find(method.id) || !add_name(method)) return;
    frame_.clear();
    frame_.unsigned_integer(name_frame);
    frame_.text(method.text);
    send_frame();
    ping();  // its answer shows that the name has arrived
}

void Connection::send_frame(Delivery how) {
    if (!channel_) return;
    const std::size_t cut = config_.cut_unsent_bytes, unsent = cut ? channel_->unsent_bytes() : 0;
    if (unsent > 4 * cut) {  // its end is certain; the memory it takes has one, too
        if (!std::exchange(lost_frames_, true)) slow_.in(Duration::zero());
        return;
    }
    if (unsent > cut && !slow_.pending()) slow_.in(config_.cut_after);
    channel_->send(frame_.view(), how);
}

void Connection::cut_slow_reader() {
    const std::size_t unsent = unsent_bytes();
    if (lost_frames_ || unsent > config_.cut_unsent_bytes)
        break_off(Error(errc::overloaded, peer() + " reads too slowly: " + std::to_string(unsent) +
                                         " bytes wait, limit " +
                                         std::to_string(config_.cut_unsent_bytes)));
}

void Connection::on_drained() {
    if (!lost_frames_) slow_.cancel();
    drained_.notify_all();
}

void Connection::send_small(std::uint8_t kind) {
    frame_.clear();
    frame_.unsigned_integer(kind);
    send_frame();
}

void Connection::gave_up(std::uint64_t id) {
    frame_.clear();
    frame_.unsigned_integer(cancel_frame);
    frame_.unsigned_integer(id);
    send_frame();
}

Writer& Connection::begin_result(std::uint64_t call) {
    frame_.clear();
    frame_.unsigned_integer(result_frame);
    frame_.unsigned_integer(call);
    return frame_;
}

void Connection::end_result(std::uint64_t call) {
    if (channel_ && frame_.size() > channel_->max_message_bytes())
        return fail(call, Error(errc::too_large, "the reply has " + std::to_string(frame_.size()) +
                                                     " bytes, limit " +
                                                     std::to_string(channel_->max_message_bytes())));
    send_frame();
    answered();
}

void Connection::fail(std::uint64_t call, const Error& error) {
    frame_.clear();
    frame_.unsigned_integer(error_frame);
    frame_.unsigned_integer(call);
    frame_.text(std::string_view(error.code()).substr(0, max_name_bytes));
    frame_.text(std::string_view(error.message()).substr(0, max_error_text));
    send_frame();
    answered();
}

void Connection::answered() {
    if (incoming_ > 0) --incoming_;
    if (channel_ && paused_ && incoming_ < config_.max_incoming / 2) resume_reading();
}

void Connection::resume_reading() {
    paused_ = false;
    channel_->pause(false);
}

void Connection::on_message(BytesView message) {
    heard_ = executor_.now();
    if (read_frame(message)) return;  // whatever ran may have ended this connection
    const auto keep = shared_from_this();
    log::warn("rpc.bad_frame", {{"peer", peer()}, {"bytes", message.size()}});
    break_off(Error(errc::bad_data, "a frame that is none, from " + peer()));
}

bool Connection::read_name(Reader& reader, std::string_view& name) {
    return reader.text(name) && !name.empty() && name.size() <= max_name_bytes;
}

void Connection::number_name(const MethodName& method) {
    if (known_names_.size() < config_.max_names)
        known_names_.push_back(std::make_unique<Name>(Name{std::string(method.text), method.id}));
}

bool Connection::read_call(Reader& reader) {
    IncomingCall call;
    std::uint64_t id = 0, left_ms = 0, flags = 0;
    if (!reader.integer(id) || !reader.integer(call.entity)) return false;
    const bool named = reader.at_text();
    if (named) {
        std::string_view name;
        if (!read_name(reader, name)) return false;
        call.method = {fnv1a(name), name};
    } else {
        std::uint32_t index = 0;
        if (!reader.integer(index) || index >= known_names_.size()) return false;
        call.method = {known_names_[index]->id, known_names_[index]->text};
    }
    if (!reader.integer(left_ms) || !reader.integer(flags)) return false;
    if (named && !(flags & flag_unnumbered)) number_name(call.method);
    call.caller = config_.stamp;
    if (flags & flag_stamp) {
        if (!config_.trusted) {
            break_off(Error(errc::forbidden, "a client may not say for whom it calls"));
            return true;
        }
        if (!reader.integer(call.caller.entity) || !reader.integer(call.caller.session))
            return false;
    }
    if (!reader.integer(call.trace) || reader.left() == 0) return false;
    call.arguments = reader.rest();  // the callee looks into them: bad_arguments
    call.form = flags & flag_names ? Form::names : Form::indexes;
    // A deadline further away than a day is none: no overflow from outside.
    if (left_ms > 0 && left_ms < 86'400'000)
        call.deadline = executor_.now() + std::chrono::milliseconds(left_ms);
    if (id == 0) {
        target_.dispatch(call, Responder());
        return true;
    }
    if (++incoming_ >= config_.max_incoming && !paused_) {
        // A peer that is not read cannot answer: who waits for its replies is not made to wait
        // for the end of its calls, which may wait for those very replies.
        if (pending_.size() > 0) {
            if (incoming_ > config_.max_incoming) {
                fail(id, Error(errc::overloaded, "more than " + std::to_string(config_.max_incoming) +
                                                     " calls of one peer in progress"));
                return true;
            }
        } else {
            paused_ = true;
            channel_->pause(true);
        }
    }
    target_.dispatch(call, Responder(*this, id));
    return true;
}

/// False: it is no frame. True: this may be no more.
bool Connection::read_frame(BytesView message) {
    Reader reader(message);
    std::uint8_t kind = 0;
    std::uint64_t id = 0;
    if (!reader.integer(kind)) return false;
    switch (kind) {
        case call_frame: return read_call(reader);
        case result_frame: {
            if (!reader.integer(id) || reader.left() == 0) return false;
            if (detail::PendingReply* reply = pending_.take(id)) reply->complete_inline(reader.rest());
            return true;
        }
        case error_frame: {
            std::string_view code, text;
            if (!reader.integer(id) || !reader.text(code) || !reader.text(text) || !reader.finish())
                return false;
            if (detail::PendingReply* reply = pending_.take(id))
                reply->fail(Error(code.substr(0, max_name_bytes),
                                  std::string(text.substr(0, max_error_text))));
            return true;
        }
        case cancel_frame:
            if (!reader.integer(id) || !reader.finish()) return false;
            return true;  // what runs completes: its effects are whole, its reply goes nowhere
        case ping_frame:
            if (!reader.finish()) return false;
            send_small(pong_frame);
            return true;
        case pong_frame:
            if (pongs_ < pings_) ++pongs_;
            return reader.finish();
        case name_frame: {
            std::string_view name;
            if (!read_name(reader, name) || !reader.finish()) return false;
            number_name({fnv1a(name), name});
            return true;
        }
        case bye_frame: {
            const auto reason = read_bye(message);
            if (!reason) return false;
            const auto keep = shared_from_this();
            auto told = on_closed_;
            end(Error(errc::disconnected, reason->what()));
            if (told) told(*reason);
            return true;
        }
        default: return false;
    }
}

void Connection::on_closed(const Error& reason) {
    const auto keep = shared_from_this();
    auto told = on_closed_;
    end(Error(errc::disconnected, reason.what()));
    if (told) told(reason);
}

void Connection::break_off(const Error& reason) {
    const auto keep = shared_from_this();
    auto told = on_closed_;
    close(reason);
    if (told) told(reason);
}

void Connection::close(const Error& reason) {
    if (!channel_) return;
    channel_->send(bye_message(reason));
    end(Error(errc::disconnected, reason.what()));
}

void Connection::end(const Error& reason) {
    beat_.cancel();
    slow_.cancel();
    on_closed_ = nullptr;
    if (auto channel = std::move(channel_)) channel->close();
    pending_.fail_all(reason);
    drained_.notify_all();
}

}  // namespace gyre::rpc
