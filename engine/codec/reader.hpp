#pragma once
#include <bit>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <gyre/base/bytes.hpp>
#include <gyre/base/error.hpp>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace gyre {

struct ReaderOptions {
    std::uint32_t depth = 32;        ///< Described structs within each other.
    std::uint64_t nodes = 1u << 20;  ///< Elements of arrays and pairs of maps in all.
    std::uint64_t bytes = 64u << 20;  ///< Memory of these elements in all.
    bool strict = false;             ///< Refuse field names the type does not have.
    bool from_json = false;          ///< Integers, bytes (base64) and durations may be text.
};

enum class Kind : std::uint8_t {
    end,
    nil,
    boolean,
    unsigned_integer,
    negative_integer,
    number,
    text,
    bin,
    array,
    map,
    extension
};

/// One msgpack head with its payload; the elements of an array or map follow it.
struct Token {
    Kind kind = Kind::end;
    std::uint64_t integer = 0;  ///< Also the boolean; a negative one is the bits of an int64.
    double number = 0;
    bool is_float32 = false;
    std::size_t count = 0;  ///< Elements of an array, pairs of a map.
    BytesView bytes = {};   ///< Text, bin, payload of an extension.
};

/// Reads msgpack from bytes nobody vouches for. Never throws; the first failure sticks, and every
/// later read fails too. Views point into the bytes given. Allocates only to describe a failure.
class Reader {
public:
    explicit Reader(BytesView bytes, ReaderOptions options = {})
        : at_(bytes.data()), end_(bytes.data() + bytes.size()), options_(options) {}

    bool nil() { return take_if(0xc0); }  ///< Takes a nil if one is next; else changes nothing.
    bool boolean(bool& value) {
        if (at_ == end_ || (*at_ & 0xfe) != 0xc2) return expected("a boolean");
        value = (*at_++ & 1) != 0;
        return true;
    }
    template <std::integral T>
    bool integer(T& value) {
        if (const std::uint8_t* after = take_integer(at_, end_, value)) [[likely]] {
            at_ = after;
            return true;
        }
        return other_integer(value);
    }
    /// `count` integers one after the other; `read` is how many came before a failure.
    template <std::integral T>
    bool integers(T* values, std::size_t count, std::size_t& read) {
        const std::uint8_t* at = at_;
        for (read = 0; read != count; ++read) {
            const std::uint8_t* after = take_integer(at, end_, values[read]);
            if (!after) [[unlikely]] {
                at_ = at;
                if (!other_integer(values[read])) return false;
                after = at_;
            }
            at = after;
        }
        at_ = at;
        return true;
    }
    bool number(double& value) {
        if (left() < 9 || *at_ != 0xcb) [[unlikely]]
            return other_number(value);
        value = std::bit_cast<double>(load<std::uint64_t>(at_ + 1));
        at_ += 9;
        return true;
    }
    bool number(float& value) {
        if (left() < 5 || *at_ != 0xca) [[unlikely]]
            return other_number(value);
        value = std::bit_cast<float>(load<std::uint32_t>(at_ + 1));
        at_ += 5;
        return true;
    }
    bool text(std::string_view& value) {
        if (at_ != end_ && (*at_ & 0xe0) == 0xa0) [[likely]] {
            const std::size_t n = *at_ & 0x1fu;
            if (n < left()) [[likely]] {
                value = {reinterpret_cast<const char*>(at_ + 1), n};
                at_ += n + 1;
                return true;
            }
        }
        return wide_text(value);
    }
    bool bin(BytesView& value) {
        if (left() >= 2 && at_[0] == 0xc4 && left() - 2 >= at_[1]) [[likely]] {
            value = {at_ + 2, at_[1]};
            at_ += 2 + value.size();
            return true;
        }
        return other_bin(value);
    }
    /// The head of an array. count <= bytes left, so a loop over it ends.
    /// element_bytes: memory one element will take.
    bool array(std::size_t& count, std::size_t element_bytes = 1) {
        if (at_ == end_ || (*at_ & 0xf0) != 0x90) return wide_array(count, element_bytes);
        count = *at_++ & 0x0fu;
        return admit(count, count, element_bytes);
    }
    bool map(std::size_t& pairs, std::size_t element_bytes = 1) {
        if (at_ == end_ || (*at_ & 0xf0) != 0x80) return wide_map(pairs, element_bytes);
        pairs = *at_++ & 0x0fu;
        return admit(pairs, 2 * pairs, element_bytes);
    }
    /// An array of exactly `count` elements.
    bool exact_array(std::size_t count) {
        if (count < 16 && at_ != end_ && *at_ == (0x90 | count) && count < left() &&
            count <= options_.nodes) [[likely]] {
            ++at_;
            options_.nodes -= count;
            return true;
        }
        return other_array(count);
    }
    bool duration_ns(std::int64_t& value);  ///< Integer; also "250ms" when from_json.
    bool base64(Bytes& value);              ///< bin; also base64 text when from_json.

    bool next(Token& token);         ///< Any one head.
    bool skip();                     ///< One whole value, of any depth. No recursion.
    bool value(BytesView& encoded);  ///< One whole value as its bytes.

    Kind peek() const;
    /// The whole text is one integer that fits T.
    template <std::integral T>
    static bool from_text(std::string_view text, T& value) {
        const char* last = text.data() + text.size();
        const auto [end, failure] = std::from_chars(text.data(), last, value);
        return failure == std::errc{} && end == last && !text.empty();
    }
    bool at_array() const {
        return at_ != end_ && ((*at_ & 0xf0) == 0x90 || (*at_ & 0xfe) == 0xdc);
    }
    bool at_text() const {
        return at_ != end_ && ((*at_ & 0xe0) == 0xa0 || (*at_ >= 0xd9 && *at_ <= 0xdb));
    }
    bool at_end() const { return at_ == end_ && !failure_; }
    bool ok() const { return !failure_; }
    std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
    BytesView rest() const { return {at_, left()}; }  ///< What is not read yet.
    const ReaderOptions& options() const { return options_; }

    /// Around everything that may contain itself.
    bool enter() {
        if (options_.depth == 0) [[unlikely]]
            return fail("nested too deep");
        --options_.depth;
        return true;
    }
    void leave() { ++options_.depth; }

    /// All return false, for `return reader.fail(...)`. The first reason is kept.
    bool fail(std::string_view reason);
    bool expected(std::string_view what);  ///< "expected WHAT, found ..." with the next value.
    bool unknown_name(std::string_view what, std::string_view name,
                      std::span<const std::string_view> known);
    /// Say where the failure was, innermost first: `return reader.in_field("count")`.
    bool in_field(std::string_view name);
    bool in_key(std::string_view key);
    bool in_element(std::uint64_t index);

    /// True when nothing failed and nothing is left; else fails.
    bool finish();
    /// `bad_data`, "Bag.stacks[3].count: expected integer in [0, 65535], found 70000".
    Error error(std::string_view root = {},
                std::source_location where = std::source_location::current()) const;
    std::string error_message(std::string_view root = {}) const;

private:
    struct Failure {
        std::string path, reason;
    };
    bool take_if(std::uint8_t byte) {
        if (at_ == end_ || *at_ != byte) return false;
        ++at_;
        return true;
    }
    bool admit(std::size_t count, std::size_t values, std::size_t element_bytes) {
        if (values > left() || count > options_.nodes || count * element_bytes > options_.bytes)
            [[unlikely]]
            return refuse(count, values);
        options_.nodes -= count;
        options_.bytes -= count * element_bytes;
        return true;
    }
    template <class U>
    static U load(const std::uint8_t* p) {
        U value;
        std::memcpy(&value, p, sizeof(U));
        if constexpr (sizeof(U) == 2) value = static_cast<U>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
        if constexpr (sizeof(U) == 4) value = static_cast<U>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
        if constexpr (sizeof(U) == 8) value = static_cast<U>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
        return value;
    }
    template <class U, class T>
    static const std::uint8_t* take_as(const std::uint8_t* p, const std::uint8_t* end, T& value) {
        if (static_cast<std::size_t>(end - p) < 1 + sizeof(U)) return nullptr;
        const U wide = load<U>(p + 1);
        if (!std::in_range<T>(wide)) return nullptr;
        value = static_cast<T>(wide);
        return p + 1 + sizeof(U);
    }
    /// What comes after an integer that fits; null when there is none.
    template <std::integral T>
    static const std::uint8_t* take_integer(const std::uint8_t* p, const std::uint8_t* end, T& value) {
        if (p == end) return nullptr;
        const std::uint8_t head = *p;
        if (head < 0x80) [[likely]]
            return value = static_cast<T>(head), p + 1;
        switch (head) {
            case 0xcc: return take_as<std::uint8_t>(p, end, value);
            case 0xcd: return take_as<std::uint16_t>(p, end, value);
            case 0xce: return take_as<std::uint32_t>(p, end, value);
            case 0xcf: return take_as<std::uint64_t>(p, end, value);
            case 0xd0: return take_as<std::int8_t>(p, end, value);
            case 0xd1: return take_as<std::int16_t>(p, end, value);
            case 0xd2: return take_as<std::int32_t>(p, end, value);
            case 0xd3: return take_as<std::int64_t>(p, end, value);
            default: break;
        }
        if (std::is_unsigned_v<T> || head < 0xe0) return nullptr;
        return value = static_cast<T>(static_cast<std::int8_t>(head)), p + 1;
    }
    /// Numbers as text and the like, or the failure with its reason.
    template <std::integral T>
    bool other_integer(T& value) {
        if constexpr (std::is_signed_v<T>) {
            std::int64_t wide = 0;
            if (!signed_within(wide, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()))
                return false;
            value = static_cast<T>(wide);
        } else {
            std::uint64_t wide = 0;
            if (!unsigned_within(wide, std::numeric_limits<T>::max())) return false;
            value = static_cast<T>(wide);
        }
        return true;
    }
    bool head(Token& token);  // next() without a look at the counts
    bool any_integer(std::uint64_t& bits, bool& negative);
    bool signed_within(std::int64_t& value, std::int64_t min, std::int64_t max);
    bool unsigned_within(std::uint64_t& value, std::uint64_t max);
    bool other_array(std::size_t count);
    bool other_bin(BytesView& value);
    bool other_number(double& value);
    bool other_number(float& value);
    bool wide_text(std::string_view& value);
    bool wide_array(std::size_t& count, std::size_t element_bytes);
    bool wide_map(std::size_t& pairs, std::size_t element_bytes);
    bool refuse(std::size_t count, std::size_t values);
    void prepend(std::string segment);
    std::string found() const;

    const std::uint8_t* at_;
    const std::uint8_t* end_;
    ReaderOptions options_;
    std::unique_ptr<Failure> failure_;
};

}  // namespace gyre
