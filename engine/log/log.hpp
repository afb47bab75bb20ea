#pragma once
#include <atomic>
#include <bit>
#include <concepts>
#include <cstdint>
#include <exception>
#include <gyre/base/id.hpp>
#include <gyre/base/time.hpp>
#include <initializer_list>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>

/// One line a call: a stable event name, then fields.
///
///     log::warn("net.channel_closed", {{"peer", peer}, {"reason", reason}, {"rtt_ms", rtt}});
///
/// Never blocks and never throws; about 100 ns when the level is on, one relaxed load when it is
/// off. Everything is copied before the call returns. The running task's node, entity, session,
/// call, trace and build are added by themselves, the place of the call from warn on.
namespace gyre::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error };
std::string_view name(Level level);
std::optional<Level> parse_level(std::string_view name);

/// A value of several lines, '\n' between them: {"stack", log::Lines(text)}. Text: they follow the line
/// of the log, indented by four spaces; JSON: an array of strings. Up to 16 KiB a value.
class Lines {
public:
    explicit Lines(std::string_view text) : text_(text) {}
    std::string_view text() const { return text_; }

private:
    std::string_view text_;
};

/// Integers, double, bool, text, durations (printed as milliseconds), ids, exceptions, lines.
class Value {
public:
    enum class Type : std::uint8_t { integer, natural, real, boolean, text, duration, id, lines };

    Value(std::same_as<bool> auto value) : type_(Type::boolean), bits_(value) {}
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    Value(T value)
        : type_(std::signed_integral<T> ? Type::integer : Type::natural),
          bits_(static_cast<std::uint64_t>(value)) {}
    Value(std::floating_point auto value)
        : type_(Type::real), bits_(std::bit_cast<std::uint64_t>(static_cast<double>(value))) {}
    Value(std::string_view text) : type_(Type::text), bits_(text.size()), text_(text.data()) {}
    Value(const std::string& text) : Value(std::string_view(text)) {}
    Value(const char* text) : Value(std::string_view(text ? text : "null")) {}
    Value(const std::exception& failure) : Value(failure.what()) {}
    Value(Lines lines) : Value(lines.text()) { type_ = Type::lines; }
    template <class Rep, class Period>
    Value(std::chrono::duration<Rep, Period> value)
        : type_(Type::duration),
          bits_(static_cast<std::uint64_t>(std::chrono::duration_cast<Duration>(value).count())) {}
    template <class E>
    Value(Id<E> id) : type_(Type::id), bits_(id.value) {}

    Type type() const { return type_; }
    bool has_text() const { return type_ == Type::text || type_ == Type::lines; }
    std::uint64_t bits() const { return has_text() ? 0 : bits_; }
    std::string_view text() const {
        return has_text() ? std::string_view(text_, bits_) : std::string_view();
    }

private:
    Type type_;
    std::uint64_t bits_;  // of a text: its length
    const char* text_ = nullptr;
};

struct Field {
    std::string_view key;
    Value value;
};
using Fields = std::initializer_list<Field>;

namespace detail {
extern constinit std::atomic<Level> threshold;  // the least of all modules
bool passes(Level level, std::string_view event) noexcept;
void write(Level level, std::string_view event, std::span<const Field> fields,
           const std::source_location& where) noexcept;
}  // namespace detail

/// Whether any module logs this level: one relaxed load.
inline bool enabled(Level level) {
    return level >= detail::threshold.load(std::memory_order_relaxed);
}
/// Whether this event's module does (set_level(module, level) of backend.hpp).
inline bool enabled(Level level, std::string_view event) {
    return enabled(level) && detail::passes(level, event);
}
/// The level known only at run time; else use the five below.
inline void write(Level level, std::string_view event, Fields fields = {},
                  std::source_location where = std::source_location::current()) {
    if (enabled(level)) detail::write(level, event, fields, where);
}
/// Fields and a place that are known only at run time.
void write_at(Level level, std::string_view event, std::span<const Field> fields, std::string_view file,
              std::uint32_t line, std::uint32_t column) noexcept;
inline void trace(std::string_view event, Fields fields = {},
                  std::source_location where = std::source_location::current()) {
    if (enabled(Level::trace)) detail::write(Level::trace, event, fields, where);
}
inline void debug(std::string_view event, Fields fields = {},
                  std::source_location where = std::source_location::current()) {
    if (enabled(Level::debug)) detail::write(Level::debug, event, fields, where);
}
inline void info(std::string_view event, Fields fields = {},
                 std::source_location where = std::source_location::current()) {
    if (enabled(Level::info)) detail::write(Level::info, event, fields, where);
}
inline void warn(std::string_view event, Fields fields = {},
                 std::source_location where = std::source_location::current()) {
    if (enabled(Level::warn)) detail::write(Level::warn, event, fields, where);
}
inline void error(std::string_view event, Fields fields = {},
                  std::source_location where = std::source_location::current()) {
    if (enabled(Level::error)) detail::write(Level::error, event, fields, where);
}

}  // namespace gyre::log
