#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <gyre/log/log.hpp>
#include <span>
#include <string_view>

namespace gyre {
struct Context;
}
namespace gyre::log::detail {

inline constexpr std::size_t fields_max = 64;
inline constexpr std::size_t text_bytes_max =
    4'096;  ///< Of one value; the rest is cut and counted.
inline constexpr std::size_t record_text_bytes_max = 16'384;  ///< Of all values of one record.
inline constexpr std::size_t lines_bytes_max = 16'384;         ///< Of one log::Lines, beside the texts.
inline constexpr std::size_t record_lines_bytes_max = 49'152;  ///< Of all log::Lines of one record.

/// One line, views only: into the caller's arguments, or into the bytes it was encoded to.
struct Record {
    struct Field {  // no initializers: a line pays only for the fields it has
        const char* key_data;
        const char* text_data;
        std::uint64_t bits;  // of a text: how many bytes were cut off
        std::uint16_t text_bytes;
        std::uint8_t key_bytes;
        Value::Type type;

        std::string_view key() const { return {key_data, key_bytes}; }
        std::string_view text() const { return {text_data, text_bytes}; }
    };
    std::int64_t time_ns = 0;  ///< Since 1970 UTC.
    std::uint64_t entity = 0, session = 0, call = 0, trace = 0;
    std::string_view node, role, event;
    std::string_view build;  ///< Of the game code that runs; empty: none.
    std::string_view file;  ///< Empty below warn.
    std::uint32_t line = 0, column = 0;
    Level level = Level::info;
    std::uint8_t field_count = 0;
    std::array<Field, fields_max> fields;
};

extern constinit std::atomic<std::string_view (*)(const Context&)> build_lookup;

/// Fills `record` from a call and the current Context; clips what is too long.
void gather(Record& record, Level level, std::string_view event, std::span<const Field> fields,
            const std::source_location& where);

std::size_t encoded_bytes(const Record& record);
void encode(const Record& record, std::uint8_t* to);
void decode(const std::uint8_t* from, Record& record);

}  // namespace gyre::log::detail
