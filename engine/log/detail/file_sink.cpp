#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "sinks.hpp"

namespace gyre::log::detail {
namespace {
constexpr std::size_t flush_bytes = 64 << 10;
constexpr std::int64_t day_s = 86'400;

Error failed(const std::string& path, const char* what) {
    return Error(errc::refused, "log file " + path + ": " + what + ": " + std::strerror(errno));
}
}  // namespace

FileSink::FileSink(const Config& config) : config_(config) {}

FileSink::~FileSink() {
    if (fd_ < 0) return;
    (void)flush();
    ::close(fd_);
}

Result<> FileSink::open() {
    std::error_code ignored;  // open() below tells what is wrong
    const auto folder = std::filesystem::path(config_.file).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
    fd_ = ::open(config_.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    struct stat info{};
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) return failed(config_.file, "open");
    bytes_ = static_cast<std::uint64_t>(info.st_size);
    day_ = bytes_ ? info.st_mtim.tv_sec / day_s : 0;
    return {};
}

Result<> FileSink::write(const Record& record) {
    line_.clear();
    if (config_.json)
        append_json(line_, record);
    else
        append_text(line_, record, {.date = true});
    const std::int64_t day = record.time_ns / 1'000'000'000 / day_s;
    const bool full = bytes_ + line_.size() > config_.file_bytes_max;
    Result<> ready;
    if (bytes_ > 0 && (full || (!config_.rotate.empty() && day > day_))) ready = rotate();
    if (fd_ < 0) ready = open();
    if (fd_ < 0) return ready;
    if (bytes_ == 0 || day > day_) day_ = day;
    bytes_ += line_.size();
    buffer_ += line_;
    if (!ready.ok()) return ready;
    return buffer_.size() < flush_bytes ? Result<>() : flush();
}

Result<> FileSink::rotate() {
    if (auto flushed = flush(); !flushed.ok()) return flushed;
    ::close(std::exchange(fd_, -1));
    const std::string& path = config_.file;
    const auto numbered = [&](std::uint32_t n) { return path + "." + std::to_string(n); };
    bool moved = true;
    if (config_.files_kept == 0) {
        moved = ::unlink(path.c_str()) == 0;
    } else {
        for (std::uint32_t n = config_.files_kept; n > 1; --n) {
            ::rename(numbered(n - 1).c_str(), numbered(n).c_str());
        }
        moved = ::rename(path.c_str(), numbered(1).c_str()) == 0;
    }
    Result<> result = moved ? Result<>() : failed(path, "begin the next file");
    auto opened = open();
    if (!moved) bytes_ = 0;  // try again a full file later, not at every line
    return result.ok() ? opened : result;
}

Result<> FileSink::flush() {
    std::string_view rest = buffer_;
    Result<> result;
    while (!rest.empty()) {
        const ssize_t n = ::write(fd_, rest.data(), rest.size());
        if (n >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(n));
        } else if (errno != EINTR) {
            result = failed(config_.file, "write");
            break;
        }
    }
    buffer_.clear();
    return result;
}

}  // namespace gyre::log::detail
