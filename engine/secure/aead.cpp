#include <gyre/secure/aead.hpp>

#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <gyre/base/assert.hpp>

namespace gyre::secure {
namespace {

using Nonce = std::array<std::uint8_t, 12>;

/// As Noise has it for AESGCM: 32 bits of zeros, then the number, big-endian.
Nonce nonce_of(std::uint64_t number) {
    Nonce nonce{};
    const std::uint64_t big_endian = __builtin_bswap64(number);
    std::memcpy(nonce.data() + 4, &big_endian, sizeof big_endian);
    return nonce;
}

/// Found once: each look-up by name takes locks and strings.
const EVP_CIPHER* cipher() {
    static const EVP_CIPHER* const found = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    GYRE_ASSERT(found != nullptr, "libcrypto has AES-256-GCM");
    return found;
}

int size_of(BytesView bytes) { return static_cast<int>(bytes.size()); }

}  // namespace

void Aead::Free::operator()(evp_cipher_ctx_st* context) const noexcept { EVP_CIPHER_CTX_free(context); }

Aead::Aead(const Key& key, Use use) : context_(EVP_CIPHER_CTX_new()) {
    const int ok = EVP_CipherInit_ex(context_.get(), cipher(), nullptr, key.bytes().data(), nullptr, use == Use::seal);
    GYRE_ASSERT(ok == 1, "a key of AES-256");
}

void Aead::seal(std::uint64_t number, BytesView associated, BytesView plain, std::uint8_t* out) {
    EVP_CIPHER_CTX* const c = context_.get();
    const Nonce nonce = nonce_of(number);
    int n = 0;
    bool ok = EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data()) == 1;
    if (!associated.empty()) ok &= EVP_EncryptUpdate(c, nullptr, &n, associated.data(), size_of(associated)) == 1;
    if (!plain.empty()) ok &= EVP_EncryptUpdate(c, out, &n, plain.data(), size_of(plain)) == 1;
    ok &= EVP_EncryptFinal_ex(c, out + plain.size(), &n) == 1;
    ok &= EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, tag_bytes, out + plain.size()) == 1;
    GYRE_ASSERT(ok, "sealing does not fail");
}

bool Aead::open(std::uint64_t number, BytesView associated, BytesView sealed, std::uint8_t* out) {
    if (sealed.size() < tag_bytes) return false;
    EVP_CIPHER_CTX* const c = context_.get();
    const Nonce nonce = nonce_of(number);
    const BytesView text = sealed.first(sealed.size() - tag_bytes);
    std::array<std::uint8_t, tag_bytes> tag;  // it may lie where the text is written
    std::copy(sealed.end() - tag_bytes, sealed.end(), tag.begin());
    int n = 0;
    if (EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data()) != 1) return false;
    if (!associated.empty() && EVP_DecryptUpdate(c, nullptr, &n, associated.data(), size_of(associated)) != 1) return false;
    if (!text.empty() && EVP_DecryptUpdate(c, out, &n, text.data(), size_of(text)) != 1) return false;
    if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) != 1) return false;
    return EVP_DecryptFinal_ex(c, out + text.size(), &n) == 1;
}

Key next_key(const Key& key) {
    std::array<std::uint8_t, Key::size> zeros{};
    std::array<std::uint8_t, Key::size + Aead::tag_bytes> sealed;
    Aead(key, Aead::Use::seal).seal(~std::uint64_t{0}, {}, zeros, sealed.data());
    const Key next = Key::from_bytes(BytesView(sealed).first(Key::size)).value();
    OPENSSL_cleanse(sealed.data(), sealed.size());
    return next;
}

}  // namespace gyre::secure
