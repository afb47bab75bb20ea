#pragma once
#include <algorithm>
#include <gyre/io/datagram.hpp>
#include <gyre/task/sync.hpp>
#include <map>
#include <optional>

namespace gyre::web::test {

/// For tests and fuzzers of this module: streams within one process, a clock moved by hand, and
/// bytes delivered in pieces of a chosen size.
class MemoryIo final : public io::Io {
public:
    std::size_t piece_bytes = 1u << 20;
    bool lose_next_write = false;  ///< The next delivery resets its stream instead.

    Executor& executor() override { return executor_; }
    WallTime wall_now() override {
        return WallTime(1'700'000'000s + executor_.now().time_since_epoch());
    }
    void random(std::span<std::uint8_t> out) override { std::ranges::fill(out, ++counter_); }
    Result<std::unique_ptr<io::DatagramSocket>> bind(const io::Endpoint& at) override {
        return Error(errc::refused, at.to_string());
    }
    std::unique_ptr<io::Lane> make_lane(io::LaneConfig) override { return nullptr; }
    void post(std::function<void()>) override {}
    std::string sqlite_vfs() override { return {}; }

    Result<std::unique_ptr<io::Listener>> listen(const io::Endpoint& at,
                                                 io::AcceptHandler a) override {
        if (ports_.contains(at.port)) return Error(errc::in_use, at.to_string());
        ports_[at.port] = std::move(a);
        return std::unique_ptr<io::Listener>(new Port(*this, at));
    }
    Task<std::unique_ptr<io::Stream>> connect(io::Endpoint to, Duration) override {
        co_await yield();
        auto stream = open(to);
        if (!stream) throw Error(errc::refused, to.to_string());
        co_return stream;
    }
    /// A connected stream, or null when nobody listens.
    std::unique_ptr<io::Stream> open(const io::Endpoint& to) {
        const auto port = ports_.find(to.port);
        if (port == ports_.end()) return nullptr;
        auto near = std::make_shared<End>(), far = std::make_shared<End>();
        near->peer = far, far->peer = near;
        ends_.push_back(near), ends_.push_back(far);
        ++connects;
        port->second(std::make_unique<Pipe>(far));
        return std::make_unique<Pipe>(near);
    }
    /// Delivers and turns until nothing moves.
    void settle() {
        do executor_.turn(executor_.now());
        while (deliver() || !executor_.idle());
    }
    void advance(Duration by) {
        settle();
        const TimePoint end = executor_.now() + by;
        while (executor_.next_deadline() <= end) {
            executor_.turn(std::max(executor_.now(), executor_.next_deadline()));
            settle();
        }
        executor_.turn(end);
        settle();
    }
    std::size_t connects = 0;

private:
    struct End {
        std::weak_ptr<End> peer;
        io::StreamHandler* handler = nullptr;
        std::string out;
        bool paused = false, closed = false, ended = false, was_over = false;
    };
    struct Pipe final : io::Stream {
        explicit Pipe(std::shared_ptr<End> e) : end(std::move(e)) {}
        ~Pipe() override { close(); }
        void start(io::StreamHandler& h) override { end->handler = &h; }
        using io::Stream::write;
        void write(BytesView bytes) override {
            if (end->closed) return;
            end->out.append(as_text(bytes));
            end->was_over |= end->out.size() > 64 * 1024;
        }
        std::size_t unsent_bytes() const override { return end->out.size(); }
        void pause(bool p) override { end->paused = p; }
        void close() noexcept override { end->closed = true, end->handler = nullptr; }
        io::Endpoint peer() const override { return {"127.0.0.1", 9}; }
        io::Endpoint local() const override { return {"127.0.0.1", 8}; }
        std::shared_ptr<End> end;
    };
    struct Port final : io::Listener {
        Port(MemoryIo& i, io::Endpoint a) : io(i), at(std::move(a)) {}
        ~Port() override { io.ports_.erase(at.port); }
        io::Endpoint local() const override { return at; }
        MemoryIo& io;
        io::Endpoint at;
    };

    bool deliver() {
        bool moved = false;
        for (std::size_t i = 0; i < ends_.size(); ++i) {
            const auto from = ends_[i];
            const auto to = from->peer.lock();
            if (from->out.size() && to && !to->closed && to->handler && !to->paused) {
                if (std::exchange(lose_next_write, false)) {
                    for (const auto& end : {from, to}) {
                        end->ended = end->closed = true;
                        if (auto* h = std::exchange(end->handler, nullptr))
                            h->on_closed(Error(errc::disconnected, "reset"));
                    }
                    return true;
                }
                const std::string piece = from->out.substr(0, piece_bytes);
                from->out.erase(0, piece.size());
                to->handler->on_data(as_bytes(piece));
                moved = true;
                if (from->out.empty() && std::exchange(from->was_over, false) && from->handler)
                    from->handler->on_drained();
            } else if (from->closed && to && !to->ended && (from->out.empty() || to->closed)) {
                to->ended = moved = true;
                if (auto* h = std::exchange(to->handler, nullptr))
                    h->on_closed(Error(errc::disconnected, "end of stream"));
            }
        }
        std::erase_if(ends_, [](const auto& end) {
            const auto peer = end->peer.lock();
            return end->closed && (!peer || peer->closed);
        });
        return moved;
    }

    Executor executor_;
    std::map<std::uint16_t, io::AcceptHandler> ports_;
    std::vector<std::shared_ptr<End>> ends_;
    std::uint8_t counter_ = 0;
};

/// A peer that speaks raw bytes.
struct RawPeer final : io::StreamHandler {
    RawPeer(MemoryIo& i, const io::Endpoint& to) : io(i), stream(i.open(to)) {
        if (stream) stream->start(*this);
    }
    void on_data(BytesView bytes) override { text.append(as_text(bytes)); }
    void on_closed(const Error&) override { closed = true; }
    std::string say(std::string_view bytes) {
        stream->write(as_bytes(bytes));
        io.settle();
        return std::exchange(text, {});
    }
    MemoryIo& io;
    std::unique_ptr<io::Stream> stream;
    std::string text;
    bool closed = false;
};

}  // namespace gyre::web::test
