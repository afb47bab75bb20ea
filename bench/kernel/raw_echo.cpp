#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "echo.hpp"

// The yardstick: what a hand reaches with epoll, frames that are looked at one by one, and one
// send for all that one read brought. The client also drives the asio and libuv servers.
namespace kernel_bench {
namespace {

struct Buffer {
    std::unique_ptr<std::uint8_t[]> bytes{new std::uint8_t[buffer_bytes]};
    std::size_t begin = 0, end = 0;
    std::size_t used() const { return end - begin; }
    std::size_t room() const { return buffer_bytes - end; }
    void compact() {
        if (begin == 0) return;
        std::memmove(bytes.get(), bytes.get() + begin, used());
        end -= begin;
        begin = 0;
    }
};

struct Socket {
    int fd;
    Buffer in, out;
    bool waits_for_room = false;

    /// False when the other end is gone.
    bool read() {
        if (in.begin == in.end) in.begin = in.end = 0;
        if (in.room() < buffer_bytes / 2) in.compact();
        const ssize_t got = recv(fd, in.bytes.get() + in.end, in.room(), 0);
        if (got <= 0) return got < 0 && errno == EAGAIN;
        in.end += static_cast<std::size_t>(got);
        return true;
    }
    void write(int epoll) {
        if (out.used() != 0) {
            const ssize_t sent = send(fd, out.bytes.get() + out.begin, out.used(), MSG_NOSIGNAL);
            if (sent > 0) out.begin += static_cast<std::size_t>(sent);
        }
        if (out.begin == out.end)
            out.begin = out.end = 0;
        else
            out.compact();
        const bool wait = out.used() != 0;
        if (wait == waits_for_room) return;
        waits_for_room = wait;
        watch(epoll, EPOLL_CTL_MOD);
    }
    void watch(int epoll, int operation) {
        epoll_event event{};
        event.events = EPOLLIN | (waits_for_room ? EPOLLOUT : 0u);
        event.data.ptr = this;
        epoll_ctl(epoll, operation, fd, &event);
    }
    /// The next whole frame, as long as the answer has room; null: none.
    const std::uint8_t* frame(std::size_t& size) {
        if (in.used() < head_bytes) return nullptr;
        const std::uint8_t* at = in.bytes.get() + in.begin;
        std::uint32_t payload;
        std::memcpy(&payload, at, head_bytes);
        size = head_bytes + payload;
        if (size > buffer_bytes / 2) std::abort();
        if (in.used() < size || out.room() < size) return nullptr;
        in.begin += size;
        return at;
    }
};

void serve() {
    std::uint16_t port = 0;
    const int listener = listen_on_loopback(port);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    announce(port);
    epoll_event events[16];
    while (true) {
        const int n = epoll_wait(epoll, events, 16, -1);
        for (int i = 0; i < n; ++i) {
            auto* socket = static_cast<Socket*>(events[i].data.ptr);
            if (!socket) {
                const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0) continue;
                no_delay(fd);
                (new Socket{fd, {}, {}})->watch(epoll, EPOLL_CTL_ADD);
                continue;
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !socket->read()) {
                close(socket->fd);
                delete socket;
                continue;
            }
            std::size_t size = 0;
            while (const std::uint8_t* frame = socket->frame(size)) {
                std::memcpy(socket->out.bytes.get() + socket->out.end, frame, size);
                socket->out.end += size;
            }
            socket->write(epoll);
        }
    }
}

/// Keeps `window` calls outstanding; each read's answers become one send of as many calls.
void drive(const Arguments& arguments) {
    Socket socket{connect_to_loopback(arguments.port), {}, {}};
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    socket.watch(epoll, EPOLL_CTL_ADD);
    Meter meter(arguments);
    std::uint64_t sent = 0, received = 0;
    std::size_t owed = arguments.window;  // calls to make
    std::uint8_t call[frame_bytes] = {payload_bytes};
    while (!meter.over()) {
        for (; owed != 0 && socket.out.room() >= frame_bytes; --owed) {
            std::memcpy(call + head_bytes, &sent, sizeof sent);
            ++sent;
            std::memcpy(socket.out.bytes.get() + socket.out.end, call, frame_bytes);
            socket.out.end += frame_bytes;
        }
        socket.write(epoll);
        epoll_event event;
        epoll_wait(epoll, &event, 1, -1);
        if (!(event.events & EPOLLIN)) continue;
        if (!socket.read()) std::exit(3);
        std::size_t size = 0, answers = 0;
        while (const std::uint8_t* frame = socket.frame(size)) {
            std::uint64_t number;
            std::memcpy(&number, frame + head_bytes, sizeof number);
            if (size != frame_bytes || number != received++) {
                std::fprintf(stderr, "a wrong answer\n");
                std::exit(3);
            }
            ++answers;
        }
        owed += answers;
        meter.add(answers);
    }
    meter.report();
}

}  // namespace
}  // namespace kernel_bench

int main(int count, char** values) {
    const kernel_bench::Arguments arguments(count, values);
    if (arguments.server)
        kernel_bench::serve();
    else
        kernel_bench::drive(arguments);
}
