#pragma once
#include <gyre/base/bytes.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace gyre {

/// RFC 4648, standard alphabet, padded.
std::string to_base64(BytesView bytes);
/// Nothing on any character, length or padding that to_base64 would not write.
std::optional<Bytes> from_base64(std::string_view text);

}  // namespace gyre
