#pragma once
#include <gyre/task/sync.hpp>
#include <gyre/web/detail/parser.hpp>
#include <gyre/web/server.hpp>

namespace gyre::web::detail {

/// What a connection needs of its server.
class ConnectionHost {
public:
    virtual ~ConnectionHost() = default;
    virtual Task<Response> answer(Request request) = 0;            ///< Throws `cancelled` at most.
    virtual void ended(std::uint64_t connection) = 0;              ///< Its last call.
    virtual void discard(std::unique_ptr<io::Stream> stream) = 0;  ///< Destroys it after this turn.
    virtual void refused(const Fault& fault) = 0;
    virtual std::string date() = 0;  ///< Of an HTTP header.
    virtual bool closing() const = 0;

    io::Io& io;
    Scope& scope;
    const ServerConfig config;

protected:
    ConnectionHost(io::Io& i, Scope& s, ServerConfig c) : io(i), scope(s), config(std::move(c)) {}
};

/// One connection of the server: bytes to requests, one at a time, and responses back in order.
class Connection final : public io::StreamHandler, public std::enable_shared_from_this<Connection> {
public:
    Connection(std::shared_ptr<ConnectionHost> host, std::uint64_t number,
               std::unique_ptr<io::Stream> stream);
    void start();
    void refuse_overload();  ///< In place of start(): 503, then close.
    void wind_down();        ///< Ends now when idle, else after the running request.
    void cancel_request();
    void cut();  ///< Ends now.
    bool handling() const { return state_ == State::handling; }

    void on_data(BytesView bytes) override;
    void on_closed(const Error& reason) override;
    void on_drained() override;

private:
    enum class State : std::uint8_t { idle, receiving, handling, draining, lingering, ended };

    static Task<> serve(std::shared_ptr<Connection> self, Request request);
    void pump();
    void dispatch();
    void finish(Response response, std::string_view id, bool no_body);
    void fail(const Fault& fault);
    void become(State state);
    void end();
    void on_alarm();
    void write(std::string_view text) { stream_->write(as_bytes(text)); }

    std::shared_ptr<ConnectionHost> host_;
    const std::uint64_t number_;
    std::unique_ptr<io::Stream> stream_;
    std::unique_ptr<Parser> parser_;
    Alarm alarm_;
    std::optional<Join<>> request_;
    std::string input_;
    State state_ = State::idle;
    bool pumping_ = false, paused_ = false, continued_ = false, keep_ = true;
};

}  // namespace gyre::web::detail
