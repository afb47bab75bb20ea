#pragma once
#include <sodium.h>

#include <gyre/base/assert.hpp>
#include <gyre/base/bytes.hpp>
#include <optional>
#include <string>

namespace gyre::secure::detail {

/// Lets libsodium pick the fastest code for this processor, once.
inline void prepare_sodium() {
    static const bool ready = sodium_init() >= 0;
    GYRE_ASSERT(ready, "libsodium does not start");
}

inline std::string to_base64(BytesView bytes, int variant) {
    std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
    sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), variant);
    text.pop_back();  // The terminating zero.
    return text;
}

/// Nothing unless `text` is the one canonical way to write these bytes.
inline std::optional<Bytes> from_base64(std::string_view text, int variant) {
    Bytes bytes(text.size() / 4 * 3 + 3);
    std::size_t size = 0;
    if (sodium_base642bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &size, nullptr,
                          variant) != 0)
        return std::nullopt;
    bytes.resize(size);
    return bytes;
}

}  // namespace gyre::secure::detail
