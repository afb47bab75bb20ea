#pragma once
#include <gyre/secure/key.hpp>
#include <memory>
#include <string>

/// Two messages after which both ends share fresh keys: Noise_NK_25519_AESGCM_SHA256 for clients that pin a
/// server's key, Noise_NNpsk0_25519_AESGCM_SHA256 for nodes that share one. Bytes in, bytes out
/// (protocol/session.md). Cost: about 100 us an end, of which nearly all is X25519.
namespace gyre::secure {

using PublicKey = std::array<std::uint8_t, 32>;
std::string to_text(const PublicKey& key);  ///< base64url, 43 characters.
/// Error: bad_arguments.
Result<PublicKey> public_key_from_text(std::string_view text);

/// What a server proves: an X25519 pair. Its secret is kept as any key (load_or_create_key).
class Identity {
public:
    explicit Identity(const Key& secret);
    const PublicKey& public_key() const noexcept { return public_key_; }
    const Key& secret() const noexcept { return secret_; }

private:
    Key secret_;
    PublicKey public_key_;
};

/// What a handshake comes to.
struct Secrets {
    Key send, receive;                            ///< Of this end; each for one connection.
    std::array<std::uint8_t, 32> transcript;  ///< Equal at both ends of this connection, and at no other.
};

inline constexpr std::size_t max_hello_payload = 512;       ///< Of either message; our own longer ones assert.
inline constexpr std::size_t max_handshake_message = 1024;  ///< Longer ones are bad_data.

/// A clear refusal, for who gets no handshake at all: anybody could have said it. At most 200 bytes of text.
Bytes clear_refusal(const Error& reason);

/// The end that speaks first. Use once.
class ClientHandshake {
public:
    /// `fresh`: random, never used before.
    ClientHandshake(const PublicKey& server, const Seed& fresh);
    ClientHandshake(const Key& shared, const Seed& fresh);
    ClientHandshake(ClientHandshake&&) noexcept;
    ~ClientHandshake();

    /// Message 1. Whoever records it may send it again: `payload` is for versions and names, not for credentials.
    Bytes first(BytesView payload);
    /// Message 2: the server's payload. Errors: unauthorized (the server does not hold the key, or bytes were
    /// changed), bad_data; with what code the server refused, which is authentic, or update_required,
    /// overloaded or closed in the clear.
    Result<Bytes> second(BytesView message);
    Secrets secrets() const;  ///< After second().

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The end that answers. Use once. The client is proven only when its first record opens.
class ServerHandshake {
public:
    ServerHandshake(const Identity& identity, const Seed& fresh);
    ServerHandshake(const Key& shared, const Seed& fresh);
    ServerHandshake(ServerHandshake&&) noexcept;
    ~ServerHandshake();

    /// Message 1: the client's payload. Errors: bad_data, update_required (another protocol version),
    /// unauthorized (it means another server, or does not hold the key).
    Result<Bytes> first(BytesView message);
    Bytes second(BytesView payload);  ///< Message 2, after first().
    /// In place of message 2: authentic after first(); without it in the clear, and empty, which is to say
    /// nothing, unless the reason is update_required, overloaded or closed.
    Bytes refuse(const Error& reason);
    Secrets secrets() const;  ///< After second().

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gyre::secure
