#include <gyre/secure/aead.hpp>
#include <gyre/secure/detail/noise.hpp>
#include <gyre/secure/detail/sodium.hpp>

#include <gyre/base/assert.hpp>

namespace gyre::secure::detail {

NoiseState::NoiseState(std::string_view name, BytesView prologue) {
    GYRE_ASSERT(name.size() <= hash_.size(), "a name that needs no hash");
    std::copy(name.begin(), name.end(), hash_.begin());
    chain_ = Key(hash_);
    mix_hash(prologue);
}

void NoiseState::mix_hash(BytesView bytes) {
    prepare_sodium();
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, hash_.data(), hash_.size());
    crypto_hash_sha256_update(&state, bytes.data(), bytes.size());
    crypto_hash_sha256_final(&state, hash_.data());
}

/// HKDF of Noise: RFC 5869 with the chaining key as salt and no info; the first three outputs.
std::array<Key, 3> NoiseState::expand(BytesView input) const {
    const Key temporary = chain_.derive(as_text(input));
    std::array<Key, 3> out{Key{{}}, Key{{}}, Key{{}}};
    std::array<std::uint8_t, Key::size + 1> block;
    std::size_t size = 0;
    for (std::uint8_t i = 1; i <= 3; ++i) {
        block[size] = i;
        Key& key = out[i - 1u] = temporary.derive(as_text(BytesView(block).first(size + 1)));
        std::copy(key.bytes().begin(), key.bytes().end(), block.begin());
        size = Key::size;
    }
    sodium_memzero(block.data(), block.size());
    return out;
}

void NoiseState::mix_key(BytesView input) {
    const auto keys = expand(input);
    chain_ = keys[0], key_ = keys[1], number_ = 0;
}

void NoiseState::mix_key_and_hash(BytesView input) {
    const auto keys = expand(input);
    chain_ = keys[0];
    mix_hash(keys[1].bytes());
    key_ = keys[2], number_ = 0;
}

void NoiseState::encrypt_and_hash(BytesView plain, Bytes& out) {
    const std::size_t begin = out.size();
    out.resize(begin + plain.size() + Aead::tag_bytes);
    Aead(key_, Aead::Use::seal).seal(number_++, hash_, plain, out.data() + begin);
    mix_hash(BytesView(out).subspan(begin));
}

bool NoiseState::decrypt_and_hash(BytesView sealed, Bytes& plain) {
    if (sealed.size() < Aead::tag_bytes) return false;
    plain.resize(sealed.size() - Aead::tag_bytes);
    std::uint8_t nothing = 0;
    if (!Aead(key_, Aead::Use::open).open(number_, hash_, sealed, plain.empty() ? &nothing : plain.data())) return false;
    ++number_;
    mix_hash(sealed);
    return true;
}

std::pair<Key, Key> NoiseState::split() const {
    const auto keys = expand({});
    return {keys[0], keys[1]};
}

std::optional<Key> shared_secret(const Key& secret, BytesView public_key) {
    prepare_sodium();
    std::array<std::uint8_t, Key::size> bytes;
    std::optional<Key> shared;
    if (crypto_scalarmult(bytes.data(), secret.bytes().data(), public_key.data()) == 0) shared.emplace(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return shared;
}

}  // namespace gyre::secure::detail
