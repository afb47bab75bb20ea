#include <gyre/log/tap.hpp>
#include <gyre/module/logs.hpp>
#include <gyre/module/node.hpp>

namespace gyre::module {
namespace {

constexpr Duration failures_told_each = 1min;

LogLine to_line(log::Line&& from) {
    LogLine line;
    line.level = from.level;
    line.at_ms = from.time.time_since_epoch() / 1ms;
    line.node = std::move(from.node);
    line.role = std::move(from.role);
    line.event = std::move(from.event);
    line.fields = std::move(from.fields);
    line.json = std::move(from.json);
    line.entity = from.entity;
    line.session = from.session;
    line.call = from.call;
    line.trace = from.trace;
    line.build = std::move(from.build);
    line.at = std::move(from.at);
    return line;
}

/// One callback, from on_line() to the end of who asked for it.
class Callback : public std::enable_shared_from_this<Callback> {
public:
    Callback(Node& node, EntityId entity, log::Level most, OwnedMethod method)
        : node_(node), entity_(entity), most_(most), method_(std::move(method)), trace_(node.io.random_u64() | 1) {}

    void start(log::Level least) {
        tap_ = std::make_unique<log::Tap>(
            log::Tap::Config{.level = least,
                             .capacity = Logs::waiting_max,
                             .ignore_trace = trace_,
                             .wake = [io = &node_.io, self = weak_from_this()] {
                                 io->post([self] {
                                     if (const auto here = self.lock()) here->pump();
                                 });
                             }});
    }
    void end() { tap_.reset(); }

private:
    void pump() {
        if (running_ || !tap_) return;
        running_ = true;
        (void)go(node_.scope, call_all(shared_from_this()));
    }
    static Task<> call_all(std::shared_ptr<Callback> self) {
        current->trace = self->trace_;  // what it logs is not given to it
        while (self->tap_) {
            auto lines = self->tap_->take();
            if (lines.empty()) break;
            for (auto& line : lines)
                if (self->wants(line)) co_await self->call(to_line(std::move(line)));
            self->tell_dropped();
        }
        self->running_ = false;
    }
    bool wants(const log::Line& line) const {
        return tap_ && line.level <= most_ && (line.node.empty() || line.node == node_.info.name);
    }
    Task<> call(LogLine line) {
        const Bytes arguments = encode(std::tuple(std::move(line)));
        rpc::CallOptions options;
        options.limit = Duration::max();  // one at a time: what does not end is told and holds the next ones up
        Alarm slow(node_.io.executor(), [this] { tell_slow(); });
        for (;;) {
            slow.in(Logs::told_after);
            const auto done = co_await as_result(
                node_.rpc.call({.entity = entity_, .at = node_.rpc.address()}, method_.name(), arguments, options));
            if (done || !tap_ || ends(done.error())) co_return;
            if (!done.error().is(errc::reloading)) co_return tell_failed(done.error());
        }
    }
    /// Who asked for the lines, or the node, is about to end.
    static bool ends(const Error& error) {
        return error.is(errc::cancelled) || error.is(errc::entity_gone) || error.is(errc::disconnected) || error.is(errc::closed);
    }
    void tell_slow() {
        Context context = node_.scope.context();
        context.trace = trace_;
        const ContextGuard guard(&context);
        log::warn("log.callback_slow", {{"method", method_.text}, {"after_ms", Logs::told_after}});
    }
    void tell_failed(const Error& error) {
        ++failed_;
        const TimePoint now = node_.io.now();
        if (told_ && now - *told_ < failures_told_each) return;
        told_ = now;
        log::error("log.callback_failed", {{"method", method_.text}, {"error", error.what()}, {"failed", failed_}});
    }
    void tell_dropped() {
        if (!tap_) return;
        const auto dropped = tap_->dropped();
        if (dropped == dropped_) return;
        log::warn("log.callback_dropped", {{"method", method_.text}, {"count", dropped - dropped_}});
        dropped_ = dropped;
    }

    Node& node_;
    const EntityId entity_;
    const log::Level most_;
    const OwnedMethod method_;
    const std::uint64_t trace_;
    std::unique_ptr<log::Tap> tap_;  // null: who asked has ended
    bool running_ = false;
    std::uint64_t failed_ = 0, dropped_ = 0;
    std::optional<TimePoint> told_;
};

class Listening final : public world::Attachment {
public:
    explicit Listening(std::shared_ptr<Callback> callback) : callback_(std::move(callback)) {}
    ~Listening() override { callback_->end(); }

private:
    std::shared_ptr<Callback> callback_;
};

}  // namespace

void Logs::listen(log::Level least, log::Level most, OwnedMethod method) {
    world::Record& record = record_with(method, "logs()");
    auto callback = std::make_shared<Callback>(this_node(), record.id, most, std::move(method));
    callback->start(least);
    record.attachments.push_back(std::make_unique<Listening>(std::move(callback)));
}

}  // namespace gyre::module
