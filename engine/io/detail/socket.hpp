#pragma once
#include <netinet/in.h>
#include <gyre/io/detail/output.hpp>
#include <gyre/io/detail/poller.hpp>

namespace gyre::io::detail {

/// Error: bad_arguments.
Result<sockaddr_in> to_address(const Endpoint& endpoint);
Endpoint to_endpoint(const sockaddr_in& address);
Endpoint local_endpoint(int fd);
std::string system_error_text(int error);
/// Why nobody can be reached at this address of ours. Codes: in_use, bad_arguments, refused.
Error address_error(std::string_view what, const Endpoint& at, int error);

class SocketStream;

/// A connected socket: the part of a stream that may outlive it, until its output has left.
class Socket final : public Source {
public:
    Socket(Poller& poller, int fd, SocketStream& stream);
    void start(StreamHandler& handler);
    void write(BytesView head, BytesView body);
    void pause(bool paused);
    /// Forgets the stream and its handler, sends the rest, says goodbye.
    void close() noexcept;
    std::size_t unsent_bytes() const { return output_.size(); }
    void on_events(std::uint32_t events) override;
    void retire() noexcept override;

private:
    void read();
    void flush();
    bool send_some();
    void say_goodbye();
    void input_ended();
    void fail(const Error& reason);
    StreamHandler* detach() noexcept;
    bool wants_input() const { return closing_ ? !input_ended_ : handler_ && !paused_; }
    void watch_also(std::uint32_t more) { watch(watched() | more); }

    struct Flush : Ready {
        explicit Flush(Socket& s)
            : Ready([](Ready& r) { static_cast<Flush&>(r).socket.flush(); }), socket(s) {}
        Socket& socket;
    };

    SocketStream* stream_;
    StreamHandler* handler_ = nullptr;
    Output output_;
    Flush flush_{*this};
    MemberTimer<&Socket::retire, Socket> linger_;
    bool paused_ = false;
    bool was_full_ = false;  // tell on_drained
    bool broken_ = false;    // the other side takes no more
    bool closing_ = false;
    bool goodbye_said_ = false;
    bool input_ended_ = false;
};

class SocketStream final : public Stream {
public:
    SocketStream(Poller& poller, int fd, const sockaddr_in& peer);
    ~SocketStream() override { SocketStream::close(); }
    void start(StreamHandler& handler) override;
    void write(BytesView bytes) override {
        if (socket_) socket_->write(bytes, {});
    }
    void write(BytesView head, BytesView body) override {
        if (socket_) socket_->write(head, body);
    }
    std::size_t unsent_bytes() const override { return socket_ ? socket_->unsent_bytes() : 0; }
    void pause(bool paused) override {
        if (socket_) socket_->pause(paused);
    }
    void close() noexcept override {
        if (socket_) std::exchange(socket_, nullptr)->close();
    }
    Endpoint peer() const override { return to_endpoint(peer_); }
    Endpoint local() const override;

private:
    friend class Socket;
    Socket* socket_;  // null: closed
    sockaddr_in peer_;
};

/// Error: refused, in_use, bad_arguments.
Result<std::unique_ptr<Listener>> listen(Poller& poller, const Endpoint& at,
                                         AcceptHandler accepted);
Task<std::unique_ptr<Stream>> connect(Poller& poller, Endpoint to, Duration limit);

}  // namespace gyre::io::detail
