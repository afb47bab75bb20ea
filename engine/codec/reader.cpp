#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <gyre/codec/base64.hpp>
#include <gyre/codec/reader.hpp>
#include <utility>
#include <vector>

namespace gyre {
namespace {

/// Text from outside, fit for an error message: short and printable.
std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text.substr(0, 40)) out += c >= ' ' && c < 0x7f && c != '"' ? c : '?';
    return out + (text.size() > 40 ? "...\"" : "\"");
}

std::string plain(double value) {
    char buffer[32];
    return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, changed}));
        }
    }
    return row[b.size()];
}

std::string describe(const Token& token) {
    switch (token.kind) {
        case Kind::end: return "the end";
        case Kind::nil: return "nil";
        case Kind::boolean: return token.integer ? "true" : "false";
        case Kind::unsigned_integer: return std::to_string(token.integer);
        case Kind::negative_integer:
            return std::to_string(static_cast<std::int64_t>(token.integer));
        case Kind::number: return plain(token.number);
        case Kind::text: return "text " + quoted(as_text(token.bytes));
        case Kind::bin: return "binary of " + std::to_string(token.bytes.size()) + " bytes";
        case Kind::array: return "an array of " + std::to_string(token.count);
        case Kind::map: return "a map of " + std::to_string(token.count);
        case Kind::extension: return "an extension";
    }
    return "?";
}

}  // namespace

bool Reader::next(Token& token) {
    if (!head(token)) return false;
    if (token.kind == Kind::array) return admit(token.count, token.count, 1);
    return token.kind != Kind::map || admit(token.count, 2 * token.count, 1);
}

bool Reader::head(Token& token) {
    if (at_ == end_) return fail("expected a value, found the end");
    const std::uint8_t first = *at_;
    const std::uint8_t* p = at_ + 1;
    std::size_t after = left() - 1;
    token = {};

    // A big-endian unsigned of `bytes` bytes behind the head.
    const auto take = [&](std::size_t bytes, std::uint64_t& value) {
        if (after < bytes) return fail("cut off in the middle of a value");
        value = bytes == 1   ? *p
                : bytes == 2 ? load<std::uint16_t>(p)
                : bytes == 4 ? load<std::uint32_t>(p)
                             : load<std::uint64_t>(p);
        p += bytes;
        after -= bytes;
        return true;
    };
    const auto payload = [&](Kind kind, std::uint64_t n) {
        if (n > after)
            return fail((kind == Kind::text ? "text of " : "binary of ") + std::to_string(n) +
                        " bytes, but only " + std::to_string(after) + " are left");
        token.kind = kind;
        token.bytes = {p, static_cast<std::size_t>(n)};
        at_ = p + n;
        return true;
    };
    const auto elements = [&](Kind kind, std::uint64_t n) {
        token.kind = kind;
        token.count = static_cast<std::size_t>(n);
        at_ = p;
        return true;
    };
    const auto integer = [&](Kind kind, std::uint64_t bits) {
        token.kind = kind;
        token.integer = bits;
        at_ = p;
        return true;
    };
    const auto signed_bits = [&](std::int64_t v) {
        return integer(v < 0 ? Kind::negative_integer : Kind::unsigned_integer,
                       static_cast<std::uint64_t>(v));
    };

    std::uint64_t n = 0;
    if (first < 0x80) return integer(Kind::unsigned_integer, first);
    if (first < 0x90) return elements(Kind::map, first & 0x0f);
    if (first < 0xa0) return elements(Kind::array, first & 0x0f);
    if (first < 0xc0) return payload(Kind::text, first & 0x1f);
    if (first >= 0xe0) return signed_bits(static_cast<std::int8_t>(first));
    switch (first) {
        case 0xc0:
            token.kind = Kind::nil;
            at_ = p;
            return true;
        case 0xc2:
        case 0xc3: return integer(Kind::boolean, first & 1);
        case 0xc4:
        case 0xc5:
        case 0xc6: return take(std::size_t{1} << (first - 0xc4), n) && payload(Kind::bin, n);
        case 0xc7:
        case 0xc8:
        case 0xc9:
            return take(std::size_t{1} << (first - 0xc7), n) && payload(Kind::extension, n + 1);
        case 0xca:
            if (!take(4, n)) return false;
            token.number = std::bit_cast<float>(static_cast<std::uint32_t>(n));
            token.is_float32 = true;
            token.kind = Kind::number;
            at_ = p;
            return true;
        case 0xcb:
            if (!take(8, n)) return false;
            token.number = std::bit_cast<double>(n);
            token.kind = Kind::number;
            at_ = p;
            return true;
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf:
            return take(std::size_t{1} << (first - 0xcc), n) && integer(Kind::unsigned_integer, n);
        case 0xd0: return take(1, n) && signed_bits(static_cast<std::int8_t>(n));
        case 0xd1: return take(2, n) && signed_bits(static_cast<std::int16_t>(n));
        case 0xd2: return take(4, n) && signed_bits(static_cast<std::int32_t>(n));
        case 0xd3: return take(8, n) && signed_bits(static_cast<std::int64_t>(n));
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8: return payload(Kind::extension, 1 + (std::uint64_t{1} << (first - 0xd4)));
        case 0xd9:
        case 0xda:
        case 0xdb: return take(std::size_t{1} << (first - 0xd9), n) && payload(Kind::text, n);
        case 0xdc:
        case 0xdd: return take(std::size_t{2} << (first - 0xdc), n) && elements(Kind::array, n);
        case 0xde:
        case 0xdf: return take(std::size_t{2} << (first - 0xde), n) && elements(Kind::map, n);
        default: return fail("byte 0xc1 is not msgpack");
    }
}

Kind Reader::peek() const {
    Reader ahead({at_, left()}, options_);
    Token token;
    return ahead.next(token) ? token.kind : Kind::end;
}

bool Reader::skip() {
    Token token;
    for (std::uint64_t pending = 1; pending != 0; --pending) {
        if (!next(token)) return false;
        pending += token.kind == Kind::map ? 2 * token.count : token.count;
    }
    return true;
}

bool Reader::value(BytesView& encoded) {
    const std::uint8_t* from = at_;
    if (!skip()) return false;
    encoded = {from, static_cast<std::size_t>(at_ - from)};
    return true;
}

bool Reader::any_integer(std::uint64_t& bits, bool& negative) {
    const std::uint8_t* before = at_;
    Token token;
    if (at_ == end_) return expected("an integer");
    if (!next(token)) return false;
    bits = token.integer;
    negative = token.kind == Kind::negative_integer;
    if (negative || token.kind == Kind::unsigned_integer) return true;
    if (options_.from_json && token.kind == Kind::number &&
        std::trunc(token.number) == token.number && std::abs(token.number) < 9e15) {
        bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(token.number));
        negative = token.number < 0;
        return true;
    }
    if (options_.from_json && token.kind == Kind::text) {
        std::int64_t small = 0;
        if (from_text(as_text(token.bytes), bits)) return true;
        if (from_text(as_text(token.bytes), small)) {
            bits = static_cast<std::uint64_t>(small);
            negative = true;
            return true;
        }
    }
    at_ = before;
    return expected("an integer");
}

bool Reader::signed_within(std::int64_t& value, std::int64_t min, std::int64_t max) {
    std::uint64_t bits = 0;
    bool negative = false;
    if (!any_integer(bits, negative)) return false;
    value = static_cast<std::int64_t>(bits);
    if (negative ? value >= min : bits <= static_cast<std::uint64_t>(max)) return true;
    return fail("expected integer in [" + std::to_string(min) + ", " + std::to_string(max) +
                "], found " + (negative ? std::to_string(value) : std::to_string(bits)));
}

bool Reader::unsigned_within(std::uint64_t& value, std::uint64_t max) {
    bool negative = false;
    if (!any_integer(value, negative)) return false;
    if (!negative && value <= max) return true;
    return fail(
        "expected integer in [0, " + std::to_string(max) + "], found " +
        (negative ? std::to_string(static_cast<std::int64_t>(value)) : std::to_string(value)));
}

bool Reader::other_number(double& value) {
    const std::uint8_t* before = at_;
    Token token;
    if (at_ == end_) return expected("a number");
    if (!next(token)) return false;
    switch (token.kind) {
        case Kind::number: value = token.number; return true;
        case Kind::unsigned_integer: value = static_cast<double>(token.integer); return true;
        case Kind::negative_integer:
            value = static_cast<double>(static_cast<std::int64_t>(token.integer));
            return true;
        case Kind::nil:
            if (!options_.from_json) break;
            value = std::numeric_limits<double>::quiet_NaN();
            return true;
        default: break;
    }
    at_ = before;
    return expected("a number");
}

bool Reader::other_number(float& value) {
    double wide = 0;
    if (!number(wide)) return false;
    if (std::isfinite(wide) &&
        std::abs(wide) > static_cast<double>(std::numeric_limits<float>::max()))
        return fail("expected a 32-bit float, found " + plain(wide));
    value = static_cast<float>(wide);
    return true;
}

bool Reader::wide_text(std::string_view& value) {
    Token token;
    if (!at_text()) return expected("text");
    if (!next(token)) return false;
    value = as_text(token.bytes);
    return true;
}

bool Reader::other_bin(BytesView& value) {
    Token token;
    if (at_ == end_ || *at_ < 0xc4 || *at_ > 0xc6) return expected("binary");
    if (!next(token)) return false;
    value = token.bytes;
    return true;
}

bool Reader::base64(Bytes& value) {
    if (options_.from_json && at_text()) {
        std::string_view encoded;
        if (!text(encoded)) return false;
        auto decoded = from_base64(encoded);
        if (!decoded) return fail("expected base64, found text " + quoted(encoded));
        value = *std::move(decoded);
        return true;
    }
    BytesView view;
    if (!bin(view)) return false;
    value.assign(view.begin(), view.end());
    return true;
}

bool Reader::duration_ns(std::int64_t& value) {
    if (!options_.from_json || !at_text()) return integer(value);
    struct Unit {
        std::string_view name;
        std::int64_t ns;
    };
    static constexpr Unit units[] = {{"ns", 1},
                                     {"us", 1'000},
                                     {"ms", 1'000'000},
                                     {"s", 1'000'000'000},
                                     {"min", 60'000'000'000},
                                     {"h", 3'600'000'000'000},
                                     {"d", 86'400'000'000'000}};
    const std::uint8_t* before = at_;
    std::string_view text_form;
    if (!text(text_form)) return false;
    const char* last = text_form.data() + text_form.size();
    std::int64_t count = 0;
    const auto parsed = std::from_chars(text_form.data(), last, count);
    std::string_view unit(parsed.ptr, static_cast<std::size_t>(last - parsed.ptr));
    if (unit.starts_with(' ')) unit.remove_prefix(1);
    if (unit.empty()) unit = "ns";
    for (const auto& [name, ns] : units)
        if (parsed.ec == std::errc{} && unit == name && !__builtin_mul_overflow(count, ns, &value))
            return true;
    at_ = before;
    return expected("a duration such as \"250ms\", \"10s\" or \"5min\"");
}

bool Reader::wide_array(std::size_t& count, std::size_t element_bytes) {
    Token token;
    if (!at_array()) return expected("an array");
    if (!head(token)) return false;
    count = token.count;
    return admit(count, count, element_bytes);
}

bool Reader::wide_map(std::size_t& pairs, std::size_t element_bytes) {
    Token token;
    if (at_ == end_ || ((*at_ & 0xf0) != 0x80 && (*at_ & 0xfe) != 0xde)) return expected("a map");
    if (!head(token)) return false;
    pairs = token.count;
    return admit(pairs, 2 * pairs, element_bytes);
}

bool Reader::other_array(std::size_t count) {
    const std::uint8_t* before = at_;
    std::size_t n = 0;
    if (!array(n)) return false;
    if (n == count) return true;
    at_ = before;
    return expected("an array of " + std::to_string(count));
}

bool Reader::refuse(std::size_t count, std::size_t values) {
    if (values > left())
        return fail(std::to_string(count) + " elements, but only " + std::to_string(left()) +
                    " bytes are left");
    if (count > options_.nodes)
        return fail(std::to_string(count) + " elements are more than this message may hold");
    return fail(std::to_string(count) + " elements take more memory than this message may");
}

bool Reader::fail(std::string_view reason) {
    if (!failure_) failure_ = std::make_unique<Failure>(Failure{{}, std::string(reason)});
    at_ = end_;
    return false;
}

std::string Reader::found() const {
    Reader ahead({at_, left()});
    Token token;
    if (at_ == end_) return "the end";
    return ahead.next(token) ? describe(token) : ahead.failure_->reason;
}

bool Reader::expected(std::string_view what) {
    if (failure_) return false;
    return fail("expected " + std::string(what) + ", found " + found());
}

bool Reader::unknown_name(std::string_view what, std::string_view name,
                          std::span<const std::string_view> known) {
    if (failure_) return false;
    std::string reason = "unknown " + std::string(what) + " " + quoted(name);
    std::string_view nearest;
    std::size_t distance = std::min<std::size_t>(3, name.size() / 2 + 1);  // exclusive
    for (const auto candidate : known) {
        if (candidate.empty() || name.size() > 100) continue;
        const std::size_t d = edit_distance(name, candidate);
        if (d < distance) {
            nearest = candidate;
            distance = d;
        }
    }
    if (!nearest.empty()) return fail(reason + "; did you mean \"" + std::string(nearest) + "\"?");
    std::size_t listed = 0;
    for (const auto candidate : known) {
        if (candidate.empty()) continue;
        if (++listed > 12) {
            reason += ", ...";
            break;
        }
        reason += (listed == 1 ? "; known: " : ", ") + std::string(candidate);
    }
    return fail(reason);
}

void Reader::prepend(std::string segment) {
    if (failure_ && failure_->path.size() < 1024) failure_->path.insert(0, segment);
}
bool Reader::in_field(std::string_view name) {
    prepend("." + std::string(name));
    return false;
}
bool Reader::in_key(std::string_view key) {
    prepend("[" + quoted(key) + "]");
    return false;
}
bool Reader::in_element(std::uint64_t index) {
    prepend("[" + std::to_string(index) + "]");
    return false;
}

bool Reader::finish() {
    if (failure_) return false;
    if (at_ == end_) return true;
    return fail(std::to_string(left()) + " bytes after the end of the value");
}

std::string Reader::error_message(std::string_view root) const {
    if (!failure_) return {};
    std::string path = std::string(root) + failure_->path;
    if (path.starts_with('.')) path.erase(0, 1);
    return path.empty() ? failure_->reason : path + ": " + failure_->reason;
}

Error Reader::error(std::string_view root, std::source_location where) const {
    return Error(errc::bad_data, error_message(root), where);
}

}  // namespace gyre
