#pragma once
#include <array>
#include <cstdint>
#include <gyre/log/tap.hpp>
#include <limits>

#include "buffer.hpp"
#include "record.hpp"
#include "zone.hpp"

namespace gyre::log::detail {

struct Style {
    bool json = false;
    bool color = false;
    bool date = false;   ///< JSON always has it.
    bool local = false;  ///< Times of the machine's zone; false: UTC.
};

/// Lines of one style. Used by one thread at a time.
///
///     15:04:05.123 warn  battle_1   net.channel_closed  peer=7 at engine/net/channel.cpp:81:9 \n
///     {"ts":"2026-01-02T15:04:05.123Z","level":"warn","node":...,"event":...,"peer":7}\n
///
/// The fields of the call come first, then those of the Context; in text each line of a log::Lines
/// follows, indented.
class Formatter {
public:
    explicit Formatter(Style style) : style_(style), zone_(style.local) {}
    void append(Buffer& to, const Record& record);

private:
    char* put_time(char* to, std::int64_t time_ns);
    char* put_text(char* to, const Record& record);
    char* put_json(char* to, const Record& record);

    Style style_;
    Zone zone_;
    std::int64_t second_ = std::numeric_limits<std::int64_t>::min();  // what the two are for
    std::array<char, 32> before_;  // "2026-01-02T15:04:05."
    std::array<char, 16> after_;   // "Z"
    std::uint8_t before_bytes_ = 0, after_bytes_ = 0;
};

/// An owned copy.
Line line_of(const Record& record);

}  // namespace gyre::log::detail
