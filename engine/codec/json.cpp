#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <gyre/codec/base64.hpp>
#include <gyre/codec/json.hpp>
#include <utility>

namespace gyre {
namespace {
namespace json = boost::json;

void write(Writer& w, const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return w.nil();
        case json::kind::bool_: return w.boolean(value.get_bool());
        case json::kind::int64: return w.signed_integer(value.get_int64());
        case json::kind::uint64: return w.unsigned_integer(value.get_uint64());
        case json::kind::double_: return w.number(value.get_double());
        case json::kind::string:
            return w.text({value.get_string().data(), value.get_string().size()});
        case json::kind::array:
            w.array(value.get_array().size());
            for (const auto& element : value.get_array()) write(w, element);
            return;
        case json::kind::object:
            w.map(value.get_object().size());
            for (const auto& pair : value.get_object()) {
                w.text({pair.key().data(), pair.key().size()});
                write(w, pair.value());
            }
            return;
    }
}

std::string place(std::string_view text, std::size_t offset) {
    std::size_t line = 1, column = 1;
    for (const char c : text.substr(0, offset)) {
        ++column;
        if (c == '\n') {
            ++line;
            column = 1;
        }
    }
    return "line " + std::to_string(line) + ", column " + std::to_string(column) + ": ";
}

/// Bytes of the UTF-8 sequence at the start of `text`, 0 when there is none.
std::size_t utf8_length(std::string_view text) {
    const auto at = [&](std::size_t i) {
        return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
    };
    const auto tail = [&](std::size_t i) { return (at(i) & 0xc0) == 0x80; };
    const std::uint8_t a = at(0), b = at(1);
    if (a < 0x80) return 1;
    if (a >= 0xc2 && a <= 0xdf) return tail(1) ? 2 : 0;
    if (a >= 0xe0 && a <= 0xef) {
        const bool overlong = a == 0xe0 && b < 0xa0, surrogate = a == 0xed && b >= 0xa0;
        return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (a >= 0xf0 && a <= 0xf4) {
        const bool outside = (a == 0xf0 && b < 0x90) || (a == 0xf4 && b >= 0x90);
        return tail(1) && tail(2) && tail(3) && !outside ? 4 : 0;
    }
    return 0;
}

void quote(std::string& out, std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    out += '"';
    while (!text.empty()) {
        const char c = text[0];
        const std::size_t n = utf8_length(text);
        if (n == 0)
            out += "\xef\xbf\xbd";
        else if (c == '"' || c == '\\')
            (out += '\\') += c;
        else if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (static_cast<std::uint8_t>(c) < 0x20)
            ((out += "\\u00") += hex[static_cast<std::uint8_t>(c) >> 4]) += hex[c & 15];
        else
            out.append(text, 0, n);
        text.remove_prefix(n == 0 ? 1 : n);
    }
    out += '"';
}

template <class T>
void number(std::string& out, T value) {
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    const std::string_view digits(buffer, static_cast<std::size_t>(end - buffer));
    out += digits;
    if constexpr (std::floating_point<T>)
        if (digits.find_first_of(".e") == digits.npos) out += ".0";
}

/// Prints one value after another; open containers are on its own stack, not on the thread's.
class Printer {
public:
    Printer(Reader& reader, bool pretty, int key_depth)
        : reader_(reader), pretty_(pretty), key_depth_(key_depth) {}

    bool print() {
        do {
            if (!open_.empty()) {
                if (!std::exchange(open_.back().empty, false)) out_ += ',';
                line();
                --open_.back().left;
                if (open_.back().is_map && !key()) return false;
            }
            if (!value()) return false;
            while (!open_.empty() && open_.back().left == 0) close();
        } while (!open_.empty());
        return true;
    }
    std::string take() { return std::move(out_); }

private:
    struct Open {
        std::size_t left;
        bool is_map;
        bool empty = true;
    };

    void scalar(const Token& token) {
        constexpr std::uint64_t exact = std::uint64_t{1} << 53;
        const auto negative = static_cast<std::int64_t>(token.integer);
        switch (token.kind) {
            case Kind::boolean: out_ += token.integer ? "true" : "false"; break;
            case Kind::unsigned_integer:
                if (token.integer > exact)
                    quote(out_, std::to_string(token.integer));
                else
                    number(out_, token.integer);
                break;
            case Kind::negative_integer:
                if (negative < -static_cast<std::int64_t>(exact))
                    quote(out_, std::to_string(negative));
                else
                    number(out_, negative);
                break;
            case Kind::number:
                if (!std::isfinite(token.number))
                    out_ += "null";
                else if (token.is_float32)
                    number(out_, static_cast<float>(token.number));
                else
                    number(out_, token.number);
                break;
            case Kind::text: quote(out_, as_text(token.bytes)); break;
            case Kind::bin:
            case Kind::extension: (out_ += '"') += to_base64(token.bytes) += '"'; break;
            default: out_ += "null";
        }
    }
    bool value() {
        Token token;
        if (!reader_.next(token)) return false;
        if (token.kind != Kind::array && token.kind != Kind::map) {
            scalar(token);
            return true;
        }
        const bool is_map = token.kind == Kind::map;
        out_ += is_map ? '{' : '[';
        open_.push_back({token.count, is_map});
        return true;
    }
    /// JSON keys are text: what is not is printed and quoted.
    bool key() {
        if (key_depth_ == 0) return reader_.fail("map keys nested too deep");
        Printer inner(reader_, false, key_depth_ - 1);
        if (!inner.print()) return false;
        const std::string text = inner.take();
        if (text.starts_with('"'))
            out_ += text;
        else
            quote(out_, text);
        out_ += pretty_ ? ": " : ":";
        return true;
    }
    void close() {
        const Open closed = open_.back();
        open_.pop_back();
        if (!closed.empty) line();
        out_ += closed.is_map ? '}' : ']';
    }
    void line() {
        if (!pretty_) return;
        out_ += '\n';
        out_.append(2 * std::min<std::size_t>(open_.size(), 64), ' ');
    }

    Reader& reader_;
    std::string out_;
    std::vector<Open> open_;
    bool pretty_;
    int key_depth_;
};
}  // namespace

Result<Bytes> json_to_msgpack(std::string_view text, JsonOptions options) {
    if (text.size() > options.max_bytes)
        return Error(errc::too_large, "JSON of " + std::to_string(text.size()) +
                                          " bytes, at most " + std::to_string(options.max_bytes));
    json::parse_options rules;
    rules.allow_comments = options.comments;
    rules.allow_trailing_commas = options.trailing_commas;
    rules.max_depth = options.max_depth;
    std::uint8_t scratch[4096];
    json::monotonic_resource memory(scratch, sizeof scratch);
    json::parser parser({}, rules);
    parser.reset(&memory);
    boost::system::error_code failure;
    const std::size_t read = parser.write_some(text.data(), text.size(), failure);
    if (!failure && read < text.size()) failure = json::error::extra_data;
    json::value value;
    if (!failure) {
        try {
            value = parser.release();
        } catch (const boost::system::system_error&) {
            failure = json::error::incomplete;
        }
    }
    if (failure) return Error(errc::bad_data, place(text, read) + failure.message());
    Writer writer;
    write(writer, value);
    return writer.take();
}

Result<std::string> msgpack_to_json(BytesView bytes, bool pretty) {
    Reader reader(bytes, {.nodes = bytes.size() + 1});
    Printer printer(reader, pretty, 8);
    if (printer.print() && reader.finish()) return printer.take();
    return reader.error();
}

}  // namespace gyre
