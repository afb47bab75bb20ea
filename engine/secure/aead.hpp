#pragma once
#include <cstdint>
#include <gyre/secure/key.hpp>
#include <memory>
#include <span>

struct evp_cipher_ctx_st;

namespace gyre::secure {

/// AES-256-GCM under one key, in one direction. A number is used once; whoever calls sees to that.
/// Cost: docs/security.md. 1.2 KB of memory.
class Aead {
public:
    static constexpr std::size_t tag_bytes = 16;
    enum class Use : std::uint8_t { seal, open };

    Aead(const Key& key, Use use);
    Aead(Aead&&) noexcept = default;
    Aead& operator=(Aead&&) noexcept = default;

    /// out: plain.size() + tag_bytes; it may begin where plain does.
    void seal(std::uint64_t number, BytesView associated, BytesView plain, std::uint8_t* out);
    /// out: sealed.size() - tag_bytes; it may begin where sealed does. False: not sealed with this key,
    /// number and associated bytes; then what is in `out` means nothing.
    bool open(std::uint64_t number, BytesView associated, BytesView sealed, std::uint8_t* out);

private:
    struct Free {
        void operator()(evp_cipher_ctx_st* context) const noexcept;
    };
    std::unique_ptr<evp_cipher_ctx_st, Free> context_;
};

/// The key that follows `key` (REKEY of Noise): one way, so that a later key does not open older bytes.
Key next_key(const Key& key);

}  // namespace gyre::secure
