#include "echo.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace kernel_bench {
namespace {
[[noreturn]] void end(const char* what) {
    std::perror(what);
    std::exit(2);
}
sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}
void non_blocking(int socket) { fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK); }
}  // namespace

Arguments::Arguments(int count, char** values) {
    const std::string_view mode = count > 1 ? values[1] : "";
    if (mode == "server" && count == 2) {
        server = true;
    } else if (mode == "client" && count == 5) {
        port = static_cast<std::uint16_t>(std::atoi(values[2]));
        window = static_cast<std::size_t>(std::atoi(values[3]));
        seconds = std::atof(values[4]);
    } else {
        std::fprintf(stderr, "%s server | client PORT WINDOW SECONDS\n", values[0]);
        std::exit(2);
    }
}

void announce(std::uint16_t port) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::printf("%u\n", port);
    std::fflush(stdout);
}

void no_delay(int socket) {
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int listen_on_loopback(std::uint16_t& port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    if (bind(listener, reinterpret_cast<sockaddr*>(&at), size) != 0 || listen(listener, 16) != 0)
        end("listen");
    getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
    port = ntohs(at.sin_port);
    non_blocking(listener);
    return listener;
}

int connect_to_loopback(std::uint16_t port) {
    const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in at = loopback(port);
    if (connect(to, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) end("connect");
    non_blocking(to);
    no_delay(to);
    return to;
}

Meter::Meter(const Arguments& arguments)
    : warm_(std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(arguments.seconds / 5))),
      length_(std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(arguments.seconds))),
      single_(arguments.window == 1),
      start_(Clock::now()),
      last_(start_) {
    if (single_) call_ns_.reserve(1 << 20);
}

void Meter::look() {
    const auto now = Clock::now();
    look_at_ = calls_ + (single_ ? 1 : 64);
    if (warming_) {
        if (now - start_ >= warm_) {
            warming_ = false;
            start_ = now;
            calls_ = 0;
            look_at_ = 1;
        }
    } else {
        if (single_ && call_ns_.size() < call_ns_.capacity())
            call_ns_.push_back(static_cast<std::uint32_t>((now - last_).count()));
        if (!over_ && now - start_ >= length_) {
            over_ = true;
            took_ = now - start_;
            measured_ = calls_;
        }
    }
    last_ = now;
}

void Meter::report() const {
    const double seconds = std::chrono::duration<double>(took_).count();
    std::printf("{\"calls_per_s\": %.0f", static_cast<double>(measured_) / seconds);
    if (single_) {
        auto sorted = call_ns_;
        std::sort(sorted.begin(), sorted.end());
        const auto at = [&](double part) {
            return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))] / 1e3;
        };
        std::printf(", \"p50_us\": %.2f, \"p99_us\": %.2f", at(0.5), at(0.99));
    }
    std::printf("}\n");
}

}  // namespace kernel_bench
