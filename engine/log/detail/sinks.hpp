#pragma once
#include <atomic>
#include <cstdint>
#include <gyre/base/result.hpp>
#include <gyre/log/backend.hpp>
#include <string>

#include "format.hpp"

namespace gyre::log::detail {

/// Where lines end. Used by one thread at a time.
class Sink {
public:
    virtual ~Sink() = default;
    virtual Result<> write(const Record& record) = 0;
    virtual Result<> flush() = 0;
};

/// A terminal, a pipe or a plain descriptor it does not own. Waits while the other end does not
/// read, until `give_up` is set.
class ConsoleSink : public Sink {
public:
    ConsoleSink(int fd, bool json, const std::atomic<bool>& give_up, Level level = Level::trace);
    Result<> write(const Record& record) override;
    Result<> flush() override;

private:
    int fd_;
    const Level level_;
    bool json_, color_;
    const std::atomic<bool>& give_up_;
    std::string buffer_;
};

/// Appends to Config::file; begins the next one by size and by day.
class FileSink : public Sink {
public:
    explicit FileSink(const Config& config);
    ~FileSink() override;
    Result<> open();
    Result<> write(const Record& record) override;
    Result<> flush() override;

private:
    Result<> rotate();

    Config config_;
    int fd_ = -1;
    std::uint64_t bytes_ = 0;  // in the file and in the buffer
    std::int64_t day_ = 0;     // since 1970 UTC
    std::string buffer_, line_;
};

}  // namespace gyre::log::detail
