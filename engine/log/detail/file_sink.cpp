#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <gyre/base/error.hpp>
#include <utility>

#include "chars.hpp"
#include "sinks.hpp"

namespace gyre::log::detail {
namespace {

constexpr std::size_t flush_bytes = 256 << 10;
constexpr std::size_t kept_bytes = 4 << 20;  // of lines that the disk does not take
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t set_back_s = 26 * 3'600;  // further than a clock is set by a change of zone

Error failed(const std::string& path, const char* what) {
    return Error(errc::refused, "log file " + path + ": " + what + ": " + std::strerror(errno));
}

/// When a line of ours was written: its date is at its begin, or after {"ts":". Seconds, UTC.
std::optional<std::int64_t> time_of(std::string_view line) {
    constexpr std::string_view json = "{\"ts\":\"";
    if (line.starts_with(json)) line.remove_prefix(json.size());
    constexpr std::string_view shape = "dddd-dd-ddTdd:dd:dd.ddd";
    if (line.size() < shape.size() + 6) return std::nullopt;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const bool digit = line[i] >= '0' && line[i] <= '9';
        if (shape[i] == 'd' ? !digit : line[i] != shape[i]) return std::nullopt;
    }
    const auto number = [&](std::size_t at, std::size_t size) {
        int value = 0;
        std::from_chars(line.data() + at, line.data() + at + size, value);
        return value;
    };
    using namespace std::chrono;
    const year_month_day date{year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                              day(static_cast<unsigned>(number(8, 2)))};
    if (!date.ok()) return std::nullopt;
    const std::int64_t days = sys_days(date).time_since_epoch().count();
    std::int64_t seconds = days * 86'400 + number(11, 2) * 3'600 + number(14, 2) * 60 + number(17, 2);
    const char zone = line[shape.size()];
    if (zone == '+' || zone == '-') {
        const std::int64_t offset = number(24, 2) * 3'600 + number(27, 2) * 60;
        seconds += zone == '+' ? -offset : offset;
    } else if (zone != 'Z') {
        return std::nullopt;
    }
    return seconds;
}

/// What a killed process began to write and did not end; one that begins the file stays.
void cut_torn_end(const std::string& path, int fd) {
    const int read_fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat info{};
    if (read_fd < 0 || ::fstat(fd, &info) != 0) return;
    const auto bytes = static_cast<std::uint64_t>(info.st_size);
    std::array<char, 64 << 10> end;
    const std::size_t size = std::min<std::uint64_t>(bytes, end.size());
    const ssize_t n = ::pread(read_fd, end.data(), size, static_cast<off_t>(bytes - size));
    ::close(read_fd);
    if (n != static_cast<ssize_t>(size)) return;
    const auto line_end = std::string_view(end.data(), size).rfind('\n');
    if (line_end == std::string_view::npos || line_end + 1 == size) return;
    (void)!::ftruncate(fd, static_cast<off_t>(bytes - size + line_end + 1));
}

/// Never over an existing file.
int rename_new(const char* from, const char* to) {
    constexpr unsigned no_replace = 1;
    if (::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, no_replace) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;  // file systems that cannot
    if (::link(from, to) == 0) return ::unlink(from);
    if (errno == EEXIST || ::access(to, F_OK) == 0) return -1;
    return ::rename(from, to);
}

}  // namespace

FileSink::FileSink(const Config& config)
    : Sink({.json = config.json, .date = true, .local = config.local_time}),
      config_(config),
      schedule_(Schedule::parse(config.rotate, config.local_time).value()),
      old_files_(config.file),
      keeper_(config) {}

FileSink::~FileSink() {
    if (fd_ >= 0) ::close(fd_);
}

Result<> FileSink::open() {
    std::error_code ignored;  // open() below tells what is wrong
    const auto folder = std::filesystem::path(config_.file).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
    // Not waiting: a fifo without a reader is an error, not a hang.
    const int fd = ::open(config_.file.c_str(),
                          O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    struct stat info{};
    if (fd < 0 || ::fstat(fd, &info) != 0) {
        const Error error = failed(config_.file, "open");
        if (fd >= 0) ::close(fd);
        return error;
    }
    ::fcntl(fd, F_SETFL, O_APPEND);
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
    regular_ = S_ISREG(info.st_mode);
    inode_ = info.st_ino;
    device_ = info.st_dev;
    bytes_ = regular_ ? static_cast<std::uint64_t>(info.st_size) : 0;
    rotate_at_bytes_ = 0;
    cut_ = false;
    if (bytes_ > 0)
        adopt();
    else if (buffer_.empty())
        period_.reset();
    bytes_ += buffer_.size();
    return {};
}

/// The period of a file that is there: that of its first line.
void FileSink::adopt() {
    const int read_fd = ::open(config_.file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    std::array<char, 64> begin;
    const ssize_t n = ::pread(read_fd, begin.data(), begin.size(), 0);
    const auto time = time_of({begin.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
    ours_ = time.has_value();
    struct stat info{};
    (void)::fstat(fd_, &info);
    if (read_fd >= 0) ::close(read_fd);
    begin_s_ = time.value_or(info.st_mtim.tv_sec);
    period_ = schedule_.period(begin_s_);
}

bool FileSink::due(std::int64_t time_ns, std::size_t bytes) const {
    if (!regular_ || stalled_ || !period_ || bytes_ < rotate_at_bytes_) return false;
    const std::int64_t time_s = floor_div(time_ns, second_ns);
    return time_s >= period_->end_s || time_s < begin_s_ - set_back_s ||
           bytes_ + bytes > config_.file_bytes_max;
}

void FileSink::write(const Record& record) {
    if (buffer_.size() >= kept_bytes) {
        ++lost_;
        return;
    }
    const std::size_t before = buffer_.size();
    formatter_.append(buffer_, record);
    const std::size_t bytes = buffer_.size() - before;
    if (due(record.time_ns, bytes)) {
        line_.clear();  // this one is for the next file
        line_.end(put(line_.room(bytes), buffer_.view().substr(before)));
        buffer_.end(buffer_.view().data() + before);
        if (auto result = rotate(); !result.ok()) rotate_error_ = result.error();
        buffer_.end(put(buffer_.room(bytes), line_.view()));
    }
    if (!period_) {
        begin_s_ = floor_div(record.time_ns, second_ns);
        period_ = schedule_.period(begin_s_);
    }
    bytes_ += bytes;
    if (buffer_.size() >= flush_bytes && !stalled_) (void)flush();  // told by the next one
}

/// Once, what an earlier process left: by now none of this log writes there.
void FileSink::tidy() {
    if (std::exchange(tidied_, true)) return;
    if (ours_) cut_torn_end(config_.file, fd_);
    keeper_.wake();
}

Result<> FileSink::rotate() {
    if (auto flushed = flush(); !flushed.ok()) return flushed;
    if (auto followed = follow(); !followed.ok()) return followed;
    tidy();
    if (bytes_ == 0 || !period_) return {};  // the path led to a new file
    const std::string stamp = schedule_.stamp(period_->label_s);
    int result = -1;
    for (int tries = 0; tries < 10 && result != 0; ++tries) {
        result = rename_new(config_.file.c_str(), old_files_.next(stamp).c_str());
        if (result != 0 && errno != EEXIST) break;
    }
    if (result != 0) {
        const Error error = failed(config_.file, "begin the next file");
        rotate_at_bytes_ = bytes_ + std::min<std::uint64_t>(config_.file_bytes_max, 64 << 10);
        return error;
    }
    keeper_.wake();
    ::close(std::exchange(fd_, -1));
    period_.reset();
    bytes_ = 0;
    return open();
}

/// The file of the path, when that is another one by now.
Result<> FileSink::follow() {
    if (fd_ < 0) return open();
    if (!regular_) return {};
    struct stat info{};
    const bool there = ::stat(config_.file.c_str(), &info) == 0;
    if (!there || info.st_ino != inode_ || info.st_dev != device_) return open();
    bytes_ = static_cast<std::uint64_t>(info.st_size) + buffer_.size();
    return {};
}

Result<> FileSink::flush() {
    if (rotate_error_) {
        const Error error = *std::exchange(rotate_error_, std::nullopt);
        (void)flush();
        return error;
    }
    if (buffer_.empty()) return {};
    Result<> done = follow();
    if (done.ok()) tidy();
    if (done.ok()) done = send();
    stalled_ = !done.ok();
    return done;
}

Result<> FileSink::send() {
    const std::string_view all = buffer_.view();
    std::string_view rest = all;
    if (cut_ && ::write(fd_, "\n", 1) == 1) cut_ = false;
    int failure = 0;
    while (!rest.empty() && failure == 0) {
        const ssize_t n = ::write(fd_, rest.data(), rest.size());
        if (n >= 0)
            rest.remove_prefix(static_cast<std::size_t>(n));
        else if (errno != EINTR)
            failure = errno;
    }
    if (failure == 0) {
        buffer_.clear();
        return {};
    }
    // Whole lines stay in the file, the others stay here.
    const std::size_t written = all.size() - rest.size();
    const std::size_t whole = written == 0 ? 0 : all.substr(0, written).rfind('\n') + 1;
    if (whole < written) {
        struct stat info{};
        cut_ = !regular_ || ::fstat(fd_, &info) != 0 ||
               ::ftruncate(fd_, info.st_size - static_cast<off_t>(written - whole)) != 0;
    }
    buffer_.drop_front(whole);
    errno = failure;
    return failed(config_.file, "write");
}

}  // namespace gyre::log::detail
