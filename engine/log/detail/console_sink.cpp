#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "sinks.hpp"

namespace gyre::log::detail {
namespace {
constexpr std::size_t flush_bytes = 32 << 10;
// What a pipe that polls writable takes without blocking (PIPE_BUF).
constexpr std::size_t piece_bytes = 4'096;
constexpr int poll_ms = 50;
}  // namespace

ConsoleSink::ConsoleSink(int fd, bool json, const std::atomic<bool>& give_up, Level level)
    : fd_(fd), level_(level), json_(json), give_up_(give_up) {
    const char* no_color = std::getenv("NO_COLOR");
    color_ = !json && (!no_color || !*no_color) && ::isatty(fd) == 1;
}

Result<> ConsoleSink::write(const Record& record) {
    if (record.level < level_) return {};
    if (json_)
        append_json(buffer_, record);
    else
        append_text(buffer_, record, {.color = color_});
    return buffer_.size() < flush_bytes ? Result<>() : flush();
}

Result<> ConsoleSink::flush() {
    std::string_view rest = buffer_;
    int failure = 0;
    while (!rest.empty() && failure == 0) {
        pollfd ready{fd_, POLLOUT, 0};
        const bool give_up = give_up_.load(std::memory_order_relaxed);
        if (::poll(&ready, 1, give_up ? 0 : poll_ms) == 0) {
            if (give_up) failure = ETIMEDOUT;
            continue;
        }
        const ssize_t n = ::write(fd_, rest.data(), std::min(rest.size(), piece_bytes));
        if (n >= 0)
            rest.remove_prefix(static_cast<std::size_t>(n));
        else if (errno != EINTR && errno != EAGAIN)
            failure = errno;
    }
    buffer_.clear();
    if (failure == 0) return {};
    return Error(errc::closed, "log console: " + std::string(std::strerror(failure)));
}

}  // namespace gyre::log::detail
