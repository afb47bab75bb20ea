#include <charconv>
#include <gyre/base/bytes.hpp>
#include <gyre/secure/detail/sodium.hpp>
#include <gyre/secure/password.hpp>
#include <optional>

namespace gyre::secure {
namespace {

constexpr std::uint64_t memory_min = 8u << 10, memory_max = 1u << 30;
constexpr std::uint32_t passes_min = 1, passes_max = 16;
constexpr std::string_view prefix = "$argon2id$v=19$m=";
constexpr std::size_t hash_size = 32;

bool in_range(PasswordCost cost) {
    return cost.memory_bytes >= memory_min && cost.memory_bytes <= memory_max &&
           cost.memory_bytes % 1024 == 0 && cost.passes >= passes_min && cost.passes <= passes_max;
}

bool eat(std::string_view& text, std::string_view expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

template <class T>
bool eat_number(std::string_view& text, T& value) {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

struct ParsedHash {
    PasswordCost cost;
    PasswordSalt salt;
    Bytes hash;
};

std::optional<ParsedHash> parse(std::string_view text) {
    ParsedHash parsed;
    std::uint64_t memory_kib = 0;
    if (text.size() > 256 || !eat(text, prefix) || !eat_number(text, memory_kib) || !eat(text, ",t=") ||
        !eat_number(text, parsed.cost.passes) || !eat(text, ",p=1$") || memory_kib > memory_max / 1024)
        return std::nullopt;
    parsed.cost.memory_bytes = memory_kib * 1024;
    const auto dollar = text.find('$');
    if (!in_range(parsed.cost) || dollar == text.npos) return std::nullopt;
    const auto salt = detail::from_base64(text.substr(0, dollar), sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    auto hash = detail::from_base64(text.substr(dollar + 1), sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    if (!salt || salt->size() != parsed.salt.size() || !hash || hash->size() != hash_size)
        return std::nullopt;
    std::copy(salt->begin(), salt->end(), parsed.salt.begin());
    parsed.hash = std::move(*hash);
    return parsed;
}

std::optional<Bytes> argon2id(std::string_view password, PasswordCost cost, const PasswordSalt& salt) {
    detail::prepare_sodium();
    Bytes hash(hash_size);
    if (crypto_pwhash(hash.data(), hash.size(), password.data(), password.size(), salt.data(), cost.passes,
                      cost.memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return std::nullopt;
    return hash;
}

}  // namespace

Result<std::string> hash_password(std::string_view password, PasswordCost cost, const PasswordSalt& salt) {
    if (!in_range(cost))
        return Error(errc::bad_arguments,
                     "password cost memory_bytes=" + std::to_string(cost.memory_bytes) + " passes=" +
                         std::to_string(cost.passes) + " outside of [8 KiB, 1 GiB] in whole KiB, [1, 16]");
    if (password.size() > password_bytes_max)
        return Error(errc::bad_arguments, "password of " + std::to_string(password.size()) +
                                              " bytes, at most " + std::to_string(password_bytes_max));
    const auto hash = argon2id(password, cost, salt);
    if (!hash)
        return Error(errc::overloaded,
                     "no memory for a password hash, bytes=" + std::to_string(cost.memory_bytes));
    return std::string(prefix) + std::to_string(cost.memory_bytes / 1024) + ",t=" +
           std::to_string(cost.passes) + ",p=1$" +
           detail::to_base64(salt, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) + "$" +
           detail::to_base64(*hash, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

bool verify_password(std::string_view hash, std::string_view password) {
    const auto parsed = parse(hash);
    if (!parsed || password.size() > password_bytes_max) return false;
    const auto found = argon2id(password, parsed->cost, parsed->salt);
    return found && sodium_memcmp(found->data(), parsed->hash.data(), hash_size) == 0;
}

bool needs_rehash(std::string_view hash, PasswordCost cost) {
    const auto parsed = parse(hash);
    return !parsed || parsed->cost.memory_bytes != cost.memory_bytes || parsed->cost.passes != cost.passes;
}

}  // namespace gyre::secure
