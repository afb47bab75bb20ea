#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <gyre/io/detail/socket.hpp>

namespace gyre::io::detail {
namespace {
Error connect_error(const Endpoint& to, int error) {
    return Error(error == ETIMEDOUT ? errc::timed_out : errc::refused,
                 "connect address=" + to.to_string() + ": " + system_error_text(error));
}

int pending_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

/// A port the kernel picks may be the one that is called: the socket then talks to itself.
bool talks_to_itself(int fd, const sockaddr_in& peer) {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
           own.sin_port == peer.sin_port && own.sin_addr.s_addr == peer.sin_addr.s_addr;
}

/// Waits until the connection of a socket is decided; owns the socket until take().
class ConnectWaiter : public Waiter {
public:
    ConnectWaiter(Poller& poller, int fd, Duration limit)
        : Waiter([](Waiter& self) { static_cast<ConnectWaiter&>(self).abandon(); }),
          attempt_(new Attempt(poller, fd, *this)),
          limit_(poller.executor, *this),
          limit_length_(limit) {}
    ~ConnectWaiter() { abandon(); }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) {
        Waiter::await_suspend(handle);
        attempt_->watch(EPOLLOUT);
        limit_.arm_in(limit_length_);
    }
    /// 0 or the number of a system error.
    int await_resume() {
        Waiter::await_resume();
        return attempt_ ? pending_error(attempt_->fd()) : ETIMEDOUT;
    }
    int fd() const { return attempt_->fd(); }
    int take() { return std::exchange(attempt_, nullptr)->release(); }

private:
    struct Attempt final : Source {
        Attempt(Poller& poller, int fd, ConnectWaiter& w) : Source(poller, fd), waiter(w) {}
        void on_events(std::uint32_t) override {
            unwatch();
            waiter.limit_.disarm();
            waiter.wake();
        }
        ConnectWaiter& waiter;
    };
    void abandon() {
        limit_.disarm();
        if (attempt_) std::exchange(attempt_, nullptr)->retire();
    }
    void expire() { abandon(), wake(); }

    Attempt* attempt_;
    MemberTimer<&ConnectWaiter::expire, ConnectWaiter> limit_;
    Duration limit_length_;
};
}  // namespace

Task<std::unique_ptr<Stream>> connect(Poller& poller, Endpoint to, Duration limit) {
    const sockaddr_in address = to_address(to).value();
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw connect_error(to, errno);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ConnectWaiter decided(poller, fd, limit);
    int error = 0;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        error = errno;
    if (error == EINPROGRESS || error == EINTR) error = co_await decided;
    if (error == 0 && talks_to_itself(decided.fd(), address)) error = ECONNREFUSED;
    if (error != 0) throw connect_error(to, error);
    co_return std::make_unique<SocketStream>(poller, decided.take(), address);
}

}  // namespace gyre::io::detail
