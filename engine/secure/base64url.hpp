#pragma once
#include <gyre/base/bytes.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace gyre::secure {

/// RFC 4648 section 5, without padding: tokens in addresses and headers.
std::string to_base64url(BytesView bytes);
/// Nothing unless `text` is exactly what to_base64url writes.
std::optional<Bytes> from_base64url(std::string_view text);

}  // namespace gyre::secure
