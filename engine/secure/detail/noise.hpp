#pragma once
#include <array>
#include <gyre/secure/key.hpp>
#include <optional>

namespace gyre::secure::detail {

using Hash = std::array<std::uint8_t, 32>;

/// SymmetricState and CipherState of the Noise framework (revision 34, section 5), with AESGCM and SHA256.
class NoiseState {
public:
    /// name: of the whole protocol, at most 32 bytes.
    NoiseState(std::string_view name, BytesView prologue);

    void mix_hash(BytesView bytes);
    void mix_key(BytesView input);
    void mix_key_and_hash(BytesView input);
    /// After a mix_key. Appends.
    void encrypt_and_hash(BytesView plain, Bytes& out);
    bool decrypt_and_hash(BytesView sealed, Bytes& plain);
    /// Keys of the end that spoke first, and of the other.
    std::pair<Key, Key> split() const;
    const Hash& hash() const { return hash_; }

private:
    std::array<Key, 3> expand(BytesView input) const;
    Hash hash_{};
    Key chain_{{}}, key_{{}};
    std::uint64_t number_ = 0;
};

/// Nothing when the other end's key is one of those that make it zero.
std::optional<Key> shared_secret(const Key& secret, BytesView public_key);

}  // namespace gyre::secure::detail
