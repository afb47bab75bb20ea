#pragma once
#include <gyre/log/tap.hpp>
#include <string>
#include <string_view>

#include "record.hpp"

namespace gyre::log::detail {

struct TextStyle {
    bool color = false;
    bool date = false;
};

/// "15:04:05.123 warn  battle_1   net.channel_closed  peer=7 at engine/net/channel.cpp:81:9 \n", UTC;
/// then each line of a log::Lines, indented.
void append_text(std::string& to, const Record& record, TextStyle style);
/// {"ts":"2026-01-02T15:04:05.123Z","level":"warn","node":...,"event":...,"peer":7}\n
void append_json(std::string& to, const Record& record);
/// "peer=7 reason=closed entity=12": the fields of the call, then those of the Context.
void append_fields(std::string& to, const Record& record, bool color);
/// An owned copy.
Line line_of(const Record& record);
/// As `text` when it is plain, else quoted; control characters, what reorders text on a terminal,
/// and invalid UTF-8 are escaped.
void append_quoted(std::string& to, std::string_view text);

}  // namespace gyre::log::detail
