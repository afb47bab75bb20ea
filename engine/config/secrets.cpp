#include <algorithm>
#include <gyre/config/secrets.hpp>
#include <initializer_list>
#include <string>

namespace gyre::config {

bool is_secret_name(std::string_view key) {
    const auto dot = key.rfind('.');
    std::string name = "_";
    char before = '_';
    for (const char c : key.substr(dot == key.npos ? 0 : dot + 1)) {
        const bool upper = c >= 'A' && c <= 'Z';
        if (upper && before >= 'a' && before <= 'z') name += '_';
        name += upper ? static_cast<char>(c - 'A' + 'a') : c == '-' || c == '[' ? '_' : c;
        before = c;
    }
    name += '_';
    return std::ranges::any_of(
        std::initializer_list<const char*>{"_password_", "_secret_", "_secrets_", "_key_", "_keys_", "_token_",
                                           "_tokens_", "_uri_", "_passphrase_"},
        [&name](const char* word) { return name.find(word) != name.npos; });
}

bool has_credentials(std::string_view text) {
    const auto scheme = text.find("://");
    return scheme != text.npos && text.find('@', scheme) != text.npos;
}

}  // namespace gyre::config
