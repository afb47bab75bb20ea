#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <gyre/io/detail/socket.hpp>

namespace gyre::io::detail {
namespace {
constexpr int accepts_per_turn = 64;
constexpr Duration pause_without_descriptors = 50ms;

int open_reserve() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

class SocketListener;

class Acceptor final : public Source {
public:
    Acceptor(Poller& poller, int fd, AcceptHandler accepted, SocketListener& listener)
        : Source(poller, fd),
          listener_(&listener),
          accepted_(std::move(accepted)),
          reserve_(open_reserve()),
          resume_(poller.executor, *this) {
        Acceptor::resume();
    }
    ~Acceptor() override {
        if (reserve_ >= 0) ::close(reserve_);
    }

    void on_events(std::uint32_t) override {
        for (int i = 0; i < accepts_per_turn && !retired(); ++i) {
            sockaddr_in peer{};
            const int connection = accept_one(&peer);
            if (connection >= 0) {
                ++poller().counters.accepted;
                accepted_(std::make_unique<SocketStream>(poller(), connection, peer));
                continue;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK) return;
            if (errno == EMFILE || errno == ENFILE) return shed_and_pause();
            if (errno == ENOBUFS || errno == ENOMEM) return pause();
            // Else this one connection has failed before it was accepted.
        }
    }
    void retire() noexcept override;

private:
    int accept_one(sockaddr_in* peer) {
        socklen_t size = sizeof *peer;
        return ::accept4(fd(), reinterpret_cast<sockaddr*>(peer), &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    /// Out of descriptors: the oldest in line is told so by a close instead of waiting in vain.
    void shed_and_pause() {
        if (reserve_ >= 0) {
            ::close(reserve_);
            sockaddr_in peer{};
            const int shed = accept_one(&peer);
            if (shed >= 0) ::close(shed);
        }
        reserve_ = open_reserve();
        pause();
    }
    void pause() {
        ++poller().counters.accept_pauses;
        unwatch();
        resume_.arm_in(pause_without_descriptors);
    }
    void resume() { watch(EPOLLIN); }

    SocketListener* listener_;
    AcceptHandler accepted_;
    int reserve_;
    MemberTimer<&Acceptor::resume, Acceptor> resume_;
};

class SocketListener final : public Listener {
public:
    SocketListener(Poller& poller, int fd, AcceptHandler accepted)
        : local_(local_endpoint(fd)),
          acceptor_(new Acceptor(poller, fd, std::move(accepted), *this)) {}
    ~SocketListener() override {
        if (acceptor_) acceptor_->retire();
    }
    Endpoint local() const override { return local_; }

private:
    friend class Acceptor;
    Endpoint local_;
    Acceptor* acceptor_;
};

void Acceptor::retire() noexcept {
    if (listener_) std::exchange(listener_, nullptr)->acceptor_ = nullptr;
    resume_.disarm();
    Source::retire();
}
}  // namespace

Result<std::unique_ptr<Listener>> listen(Poller& poller, const Endpoint& at,
                                         AcceptHandler accepted) {
    auto address = to_address(at);
    if (!address) return address.error();
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return address_error("listen", at, errno);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited by what it accepts
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
        ::listen(fd, SOMAXCONN) != 0) {
        const int error = errno;
        ::close(fd);
        return address_error("listen", at, error);
    }
    return std::unique_ptr<Listener>(new SocketListener(poller, fd, std::move(accepted)));
}

}  // namespace gyre::io::detail
