#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <gyre/base/error.hpp>

#include "sinks.hpp"

namespace gyre::log::detail {
namespace {

constexpr std::size_t buffer_bytes_max = 1 << 20;
// What a pipe that polls writable takes without blocking (PIPE_BUF).
constexpr std::size_t piece_bytes = 4'096;
constexpr Duration patience = 1s;  // then who waits for the log does not wait for this

Duration steady_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::chrono::seconds(t.tv_sec) + Duration(t.tv_nsec);
}

}  // namespace

bool wants_color(int fd) {
    const char* const no_color = std::getenv("NO_COLOR");
    const char* const terminal = std::getenv("TERM");
    return (!no_color || !*no_color) && terminal && std::string_view(terminal) != "dumb" &&
           ::isatty(fd) == 1;
}

void Sink::give_up() {
    const auto lines = std::ranges::count(buffer_.view(), '\n');
    lost_ += static_cast<std::uint64_t>(lines);
    buffer_.clear();
}

ConsoleSink::ConsoleSink(int fd, Style style, Level level) : Sink(style), fd_(fd), level_(level) {}

void ConsoleSink::write(const Record& record) {
    if (record.level < level_) return;
    if (buffer_.size() >= buffer_bytes_max) {
        (void)flush();
        if (buffer_.size() >= buffer_bytes_max) {
            ++lost_;
            return;
        }
    }
    formatter_.append(buffer_, record);
}

Result<> ConsoleSink::flush() {
    std::string_view rest = buffer_.view();
    int failure = 0;
    bool blocked = false;
    while (!rest.empty() && failure == 0 && !blocked) {
        pollfd ready{fd_, POLLOUT, 0};
        if (::poll(&ready, 1, 0) == 0) {
            blocked = true;
            break;
        }
        const ssize_t n = ::write(fd_, rest.data(), std::min(rest.size(), piece_bytes));
        if (n >= 0)
            rest.remove_prefix(static_cast<std::size_t>(n));
        else if (errno == EAGAIN)
            blocked = true;
        else if (errno != EINTR)
            failure = errno;
    }
    const std::size_t taken = buffer_.size() - rest.size();
    buffer_.drop_front(taken);
    if (failure != 0) {
        give_up();
        return Error(errc::closed, "log console: " + std::string(std::strerror(failure)));
    }
    if (!blocked || taken > 0) {
        refused_since_.reset();
        stuck_ = false;
    } else if (!refused_since_) {
        refused_since_ = steady_now();
    } else if (!stuck_ && steady_now() - *refused_since_ > patience) {
        stuck_ = true;
    }
    if (stuck_) return Error(errc::timed_out, "log console: takes nothing; its lines are dropped when more than 1 MiB wait");
    return {};
}

void ConsoleSink::flush_for(Duration at_most) {
    const Duration until = steady_now() + at_most;
    (void)flush();
    while (waiting() && steady_now() < until) {
        pollfd ready{fd_, POLLOUT, 0};
        (void)::poll(&ready, 1, 10);
        (void)flush();
    }
}

}  // namespace gyre::log::detail
