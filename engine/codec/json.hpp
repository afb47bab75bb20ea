#pragma once
#include <gyre/codec/codec.hpp>
#include <string>
#include <string_view>

namespace gyre {

struct JsonOptions {
    bool comments = false;         ///< Accept // and /* */.
    bool trailing_commas = false;  ///< Accept [1, 2,].
    std::uint32_t max_depth = 32;
    std::size_t max_bytes = 16u << 20;
};

/// Errors: bad_data with "line 3, column 7: ...", too_large.
Result<Bytes> json_to_msgpack(std::string_view json, JsonOptions options = {});

/// Any msgpack value for people and tools: binary as base64, integers beyond 2^53 as text, NaN and
/// infinities as null, keys as text, invalid UTF-8 replaced. Error: bad_data.
Result<std::string> msgpack_to_json(BytesView bytes, bool pretty = false);

/// T from JSON written by people or by to_json: missing fields keep their default, integers and
/// durations may be text ("9007199254740993", "250ms"), binary is base64.
/// options.strict refuses unknown names. Errors as json_to_msgpack, or bad_data with the path.
template <class T>
Result<T> from_json(std::string_view json, JsonOptions json_options = {},
                    ReaderOptions options = {}) {
    const auto bytes = json_to_msgpack(json, json_options);
    if (!bytes.ok()) return bytes.error();
    options.from_json = true;
    return decode<T>(*bytes, options);
}

template <class T>
std::string to_json(const T& value, bool pretty = false) {
    return msgpack_to_json(encode(value, Form::names), pretty).value();
}

}  // namespace gyre
