#include <gyre/io/detail/socket.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>

namespace gyre::io::detail {
namespace {
constexpr std::size_t read_budget_bytes = 256 * 1024;  // of one stream in one turn
constexpr std::size_t drained_after_bytes = 64 * 1024;
// What a long turn has written so far leaves, so that the other end works on it meanwhile.
constexpr std::size_t early_bytes = 8 * 1024;
constexpr Duration linger_limit = 1s;

bool try_later(int error) { return error == EAGAIN || error == EWOULDBLOCK; }
}  // namespace

std::string system_error_text(int error) { return ::strerrordesc_np(error); }

Error address_error(std::string_view what, const Endpoint& at, int error) {
    return Error(error == EADDRINUSE      ? errc::in_use
                 : error == EADDRNOTAVAIL ? errc::bad_arguments
                                          : errc::refused,
                 std::string(what) + " address=" + at.to_string() + ": " +
                     system_error_text(error));
}

Result<sockaddr_in> to_address(const Endpoint& endpoint) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    const char* host = endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host.c_str();
    if (::inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return Error(errc::bad_arguments, "address=" + endpoint.to_string() +
                                              ": the host is neither numeric IPv4 nor localhost");
    return address;
}

Endpoint to_endpoint(const sockaddr_in& address) {
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
    return {text, ntohs(address.sin_port)};
}

Endpoint local_endpoint(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return to_endpoint(address);
}

Socket::Socket(Poller& poller, int fd, SocketStream& stream)
    : Source(poller, fd), stream_(&stream), linger_(poller.executor, *this) {}

void Socket::start(StreamHandler& handler) {
    GYRE_ASSERT(handler_ == nullptr, "a stream starts once");
    handler_ = &handler;
    if (!paused_) watch_also(EPOLLIN);
}

void Socket::write(BytesView head, BytesView body) {
    if (broken_) return;
    if (!head.empty()) output_.append(head);
    if (!body.empty()) output_.append(body);
    if (output_.size() > drained_after_bytes) was_full_ = true;
    if (watched() & EPOLLOUT) return;
    poller().executor.at_turn_end(flush_);
    if (output_.size() >= early_bytes) (void)send_some();
}

void Socket::pause(bool paused) {
    paused_ = paused;
    // Ceasing to watch waits for the first event: a short pause costs no system call.
    if (handler_ && !paused) watch_also(EPOLLIN);
}

void Socket::close() noexcept {
    (void)detach();
    closing_ = true;
    linger_.arm_in(linger_limit);
    poller().executor.at_turn_end(flush_);
}

StreamHandler* Socket::detach() noexcept {
    if (stream_) std::exchange(stream_, nullptr)->socket_ = nullptr;
    return std::exchange(handler_, nullptr);
}

void Socket::retire() noexcept {
    (void)detach();
    linger_.disarm();
    flush_.unlink();
    Source::retire();
}

void Socket::on_events(std::uint32_t events) {
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        if (wants_input()) {
            read();
        } else if (!(events & (EPOLLERR | EPOLLHUP))) {
            watch(watched() & ~static_cast<std::uint32_t>(EPOLLIN));
        } else if (handler_) {
            fail(Error(errc::disconnected, "peer=" + stream_->peer().to_string() + ": reset"));
        } else if (closing_) {
            retire();
        } else {  // not started: start() will hear of it
            broken_ = true;
            output_.clear();
            unwatch();
        }
    }
    if (!retired() && (events & EPOLLOUT)) flush();
}

void Socket::read() {
    auto& buffer = poller().scratch;
    for (std::size_t total = 0; !retired() && wants_input() && total < read_budget_bytes;) {
        const ssize_t count = ::recv(fd(), buffer.data(), buffer.size(), 0);
        if (count == 0) return input_ended();
        if (count < 0) {
            if (errno == EINTR) continue;
            if (try_later(errno)) return;
            if (!stream_) return retire();
            return fail(
                Error(errno == ETIMEDOUT ? errc::timed_out : errc::disconnected,
                      "peer=" + stream_->peer().to_string() + ": " + system_error_text(errno)));
        }
        const auto size = static_cast<std::size_t>(count);
        total += size;
        ++poller().counters.reads;
        poller().counters.read_bytes += size;
        if (handler_) handler_->on_data({buffer.data(), size});  // may close or destroy the stream
        if (size < buffer.size()) return;
    }
}

void Socket::input_ended() {
    input_ended_ = true;
    if (closing_) {
        if (unsent_bytes() == 0)
            retire();
        else
            watch(EPOLLOUT);
        return;
    }
    // What was written before still leaves; the other side may have ended one direction only.
    const Error reason(errc::disconnected,
                       "peer=" + stream_->peer().to_string() + ": end of stream");
    StreamHandler* handler = handler_;
    if (unsent_bytes() == 0)
        retire();
    else
        close(), watch(EPOLLOUT);
    handler->on_closed(reason);
}

void Socket::fail(const Error& reason) {
    StreamHandler* handler = detach();
    retire();
    if (handler) handler->on_closed(reason);
}

void Socket::flush() {
    if (!send_some()) return watch_also(wants_input() ? EPOLLIN | EPOLLOUT : EPOLLOUT);
    if (watched() & EPOLLOUT) watch(watched() & ~static_cast<std::uint32_t>(EPOLLOUT));
    if (closing_) return say_goodbye();
    if (std::exchange(was_full_, false) && handler_ && !broken_) handler_->on_drained();
}

/// False: the kernel is full.
bool Socket::send_some() {
    while (unsent_bytes() > 0) {
        const std::size_t size = unsent_bytes();
        ++poller().counters.sends;
        const ssize_t count = ::send(fd(), output_.view().data(), size, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EINTR) continue;
            if (try_later(errno) || errno == ENOBUFS || errno == ENOMEM) return false;
            // The end is told by the reading side, after the last bytes that did arrive.
            broken_ = true;
            ::shutdown(fd(), SHUT_RDWR);
            break;
        }
        output_.take(static_cast<std::size_t>(count));
        poller().counters.sent_bytes += static_cast<std::uint64_t>(count);
        if (static_cast<std::size_t>(count) < size) return false;
    }
    output_.clear();
    return true;
}

/// Closing a socket with unread input would reset it and throw away what is still on its way:
/// so the other side is told the end, and its answer is awaited.
void Socket::say_goodbye() {
    if (broken_ || input_ended_) return retire();
    if (!std::exchange(goodbye_said_, true)) ::shutdown(fd(), SHUT_WR);
    watch_also(EPOLLIN);
}

SocketStream::SocketStream(Poller& poller, int fd, const sockaddr_in& peer)
    : socket_(new Socket(poller, fd, *this)), peer_(peer) {}

void SocketStream::start(StreamHandler& handler) {
    GYRE_ASSERT(socket_, "start() comes before close()");
    socket_->start(handler);
}

Endpoint SocketStream::local() const {
    return socket_ ? local_endpoint(socket_->fd()) : Endpoint{};
}

}  // namespace gyre::io::detail
