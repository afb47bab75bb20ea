#include <gyre/secure/base64url.hpp>
#include <gyre/secure/detail/sodium.hpp>

namespace gyre::secure {

std::string to_base64url(BytesView bytes) {
    return detail::to_base64(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

std::optional<Bytes> from_base64url(std::string_view text) {
    return detail::from_base64(text, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

}  // namespace gyre::secure
