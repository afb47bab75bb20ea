#include <gyre/secure/aead.hpp>
#include <gyre/secure/base64url.hpp>
#include <gyre/secure/detail/noise.hpp>
#include <gyre/secure/detail/sodium.hpp>
#include <gyre/secure/handshake.hpp>

#include <algorithm>

namespace gyre::secure {
namespace {

enum class Pattern : std::uint8_t { nk = 1, nn_psk0 = 2 };
enum class Kind : std::uint8_t { first = 1, second = 2, refusal = 3 };
constexpr std::uint8_t protocol_version = 2;
constexpr std::size_t head_bytes = 8, point_bytes = 32;
constexpr std::size_t max_refusal_text = 200;

// The first byte of what is in message 2: whether the server takes the client.
constexpr std::uint8_t accepted = 0, refused = 1;

std::array<std::uint8_t, head_bytes> head(Pattern pattern, Kind kind) {
    return {'g', 'y', 'r', 'e', protocol_version, static_cast<std::uint8_t>(pattern), static_cast<std::uint8_t>(kind), 0};
}
std::string_view name_of(Pattern pattern) {
    return pattern == Pattern::nk ? "Noise_NK_25519_AESGCM_SHA256" : "Noise_NNpsk0_25519_AESGCM_SHA256";
}

void append_reason(Bytes& out, const Error& reason) {
    append(out, as_bytes(reason.code()));
    out.push_back(0);
    append(out, as_bytes(std::string_view(reason.message()).substr(0, max_refusal_text)));
}
/// Text of strangers goes to logs and people.
std::optional<Error> read_reason(BytesView bytes) {
    const std::string_view text = as_text(bytes);
    const std::size_t end = text.find('\0');
    if (end == 0 || end > 64 || text.size() - end - 1 > 2 * max_refusal_text) return {};
    const auto code = text.substr(0, end);
    if (code.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != code.npos) return {};
    std::string message(text.substr(end + 1));
    std::ranges::replace_if(message, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, ' ');
    return Error(code, std::move(message));
}
bool believed_in_the_clear(std::string_view code) {
    return code == errc::update_required || code == errc::overloaded || code == errc::closed;
}

Error unauthorized(std::string_view text) { return Error(errc::unauthorized, std::string(text)); }

/// What both ends do, each in its order.
struct Noise {
    Noise(Pattern p, const Seed& fresh)
        : pattern(p), state(name_of(p), head(p, Kind::first)), ephemeral(Key(fresh)) {}
    void psk(const Key& shared) { state.mix_key_and_hash(shared.bytes()); }
    void public_ephemeral(BytesView point) {
        state.mix_hash(point);
        if (pattern == Pattern::nn_psk0) state.mix_key(point);
    }
    bool agree(const Key& secret, BytesView point) {
        const auto shared = detail::shared_secret(secret, point);
        if (shared) state.mix_key(shared->bytes());
        return shared.has_value();
    }
    Secrets secrets(bool client) const {
        const auto [up, down] = state.split();
        return {client ? up : down, client ? down : up, state.hash()};
    }
    Pattern pattern;
    detail::NoiseState state;
    Identity ephemeral;
    bool complete = false;
};

}  // namespace

std::string to_text(const PublicKey& key) { return to_base64url(key); }

Result<PublicKey> public_key_from_text(std::string_view text) {
    const auto bytes = from_base64url(text);
    PublicKey key;
    if (!bytes || bytes->size() != key.size())
        return Error(errc::bad_arguments, "\"" + std::string(text.substr(0, 64)) +
                                              "\" is no server key: expected 43 characters of base64url");
    std::copy(bytes->begin(), bytes->end(), key.begin());
    return key;
}

Identity::Identity(const Key& secret) : secret_(secret) {
    detail::prepare_sodium();
    crypto_scalarmult_base(public_key_.data(), secret_.bytes().data());
}

Bytes clear_refusal(const Error& reason) {
    const auto begin = head(Pattern::nk, Kind::refusal);
    Bytes message(begin.begin(), begin.end());
    append_reason(message, reason);
    return message;
}

struct ClientHandshake::State : Noise {
    using Noise::Noise;
    std::optional<PublicKey> server;
};

ClientHandshake::ClientHandshake(const PublicKey& server, const Seed& fresh)
    : state_(std::make_unique<State>(Pattern::nk, fresh)) {
    state_->server = server;
    state_->state.mix_hash(server);
}
ClientHandshake::ClientHandshake(const Key& shared, const Seed& fresh)
    : state_(std::make_unique<State>(Pattern::nn_psk0, fresh)) {
    state_->psk(shared);
}
ClientHandshake::ClientHandshake(ClientHandshake&&) noexcept = default;
ClientHandshake::~ClientHandshake() = default;

Bytes ClientHandshake::first(BytesView payload) {
    GYRE_ASSERT(payload.size() <= max_hello_payload, "a hello is short");
    State& s = *state_;
    const auto begin = head(s.pattern, Kind::first);
    Bytes message(begin.begin(), begin.end());
    append(message, s.ephemeral.public_key());
    s.public_ephemeral(s.ephemeral.public_key());
    // A pinned key that is no point: nobody holds it, so the server cannot open what follows.
    if (s.server && !s.agree(s.ephemeral.secret(), *s.server)) s.state.mix_key({});
    s.state.encrypt_and_hash(payload, message);
    return message;
}

Result<Bytes> ClientHandshake::second(BytesView message) {
    State& s = *state_;
    GYRE_ASSERT(!s.complete, "one answer");
    if (message.size() > max_handshake_message || message.size() < head_bytes)
        return Error(errc::bad_data, "answer of " + std::to_string(message.size()) + " bytes");
    const BytesView begin = message.first(head_bytes), rest = message.subspan(head_bytes);
    if (std::ranges::equal(begin, head(Pattern::nk, Kind::refusal))) {
        auto reason = read_reason(rest);
        if (!reason || !believed_in_the_clear(reason->code())) return Error(errc::bad_data, "a refusal without reason");
        return *std::move(reason);
    }
    if (!std::ranges::equal(begin, head(s.pattern, Kind::second)))
        return Error(errc::bad_data, "not the answer of a handshake of this version");
    if (rest.size() < point_bytes + Aead::tag_bytes) return Error(errc::bad_data, "an answer that was cut");
    // Tried on a copy: a forged answer leaves the handshake as it was, and the real one may follow it.
    detail::NoiseState state = s.state;
    std::swap(state, s.state);
    const auto undo = [&](Error error) {
        std::swap(state, s.state);
        return error;
    };
    const BytesView point = rest.first(point_bytes);
    s.public_ephemeral(point);
    if (!s.agree(s.ephemeral.secret(), point)) return undo(unauthorized("the answer has no key"));
    Bytes plain;
    if (!s.state.decrypt_and_hash(rest.subspan(point_bytes), plain) || plain.empty())
        return undo(unauthorized("the other end does not hold the expected key, or the answer was changed on the way"));
    s.complete = true;
    if (plain.front() == accepted) return Bytes(plain.begin() + 1, plain.end());
    auto reason = read_reason(BytesView(plain).subspan(1));
    return reason ? *std::move(reason) : Error(errc::bad_data, "a refusal without reason");
}

Secrets ClientHandshake::secrets() const {
    GYRE_ASSERT(state_->complete, "secrets come from both messages");
    return state_->secrets(true);
}

struct ServerHandshake::State : Noise {
    using Noise::Noise;
    std::optional<Key> identity;
    std::optional<Key> ephemerals;  // the secret of both ephemeral keys, after message 1
    Bytes answer(BytesView plain);
};

ServerHandshake::ServerHandshake(const Identity& identity, const Seed& fresh)
    : state_(std::make_unique<State>(Pattern::nk, fresh)) {
    state_->identity = identity.secret();
    state_->state.mix_hash(identity.public_key());
}
ServerHandshake::ServerHandshake(const Key& shared, const Seed& fresh)
    : state_(std::make_unique<State>(Pattern::nn_psk0, fresh)) {
    state_->psk(shared);
}
ServerHandshake::ServerHandshake(ServerHandshake&&) noexcept = default;
ServerHandshake::~ServerHandshake() = default;

Result<Bytes> ServerHandshake::first(BytesView message) {
    State& s = *state_;
    GYRE_ASSERT(!s.ephemerals, "one question");
    if (message.size() > max_handshake_message || message.size() < head_bytes)
        return Error(errc::bad_data, "handshake of " + std::to_string(message.size()) + " bytes");
    const auto expected = head(s.pattern, Kind::first);
    const BytesView begin = message.first(head_bytes), rest = message.subspan(head_bytes);
    if (!std::ranges::equal(begin.first(4), BytesView(expected).first(4)))
        return Error(errc::bad_data, "not a handshake of this protocol");
    if (begin[4] != protocol_version)
        return Error(errc::update_required, "link protocol " + std::to_string(begin[4]) + ", expected " +
                                                std::to_string(protocol_version));
    if (begin[5] != expected[5])
        return unauthorized(s.pattern == Pattern::nk ? "a node's handshake at a port for clients"
                                                     : "a client's handshake at a port for nodes");
    if (!std::ranges::equal(begin, expected)) return Error(errc::bad_data, "not the first message of a handshake");
    if (rest.size() < point_bytes + Aead::tag_bytes) return Error(errc::bad_data, "a handshake that was cut");
    const BytesView point = rest.first(point_bytes);
    s.public_ephemeral(point);
    if (s.identity && !s.agree(*s.identity, point)) return unauthorized("the handshake has no key");
    Bytes payload;
    if (!s.state.decrypt_and_hash(rest.subspan(point_bytes), payload))
        return unauthorized(s.identity ? "it means a server with another key, or was changed on the way"
                                       : "it does not hold the key");
    if (payload.size() > max_hello_payload) return Error(errc::too_large, "hello of " + std::to_string(payload.size()) + " bytes");
    // Found out here, so that message 2 cannot fail.
    s.ephemerals = detail::shared_secret(s.ephemeral.secret(), point);
    if (!s.ephemerals) return unauthorized("the handshake has no key");
    return payload;
}

Bytes ServerHandshake::State::answer(BytesView plain) {
    GYRE_ASSERT(ephemerals && !complete, "message 2 follows message 1, once");
    const auto begin = head(pattern, Kind::second);
    Bytes message(begin.begin(), begin.end());
    append(message, ephemeral.public_key());
    public_ephemeral(ephemeral.public_key());
    state.mix_key(ephemerals->bytes());
    state.encrypt_and_hash(plain, message);
    complete = true;
    return message;
}

Bytes ServerHandshake::second(BytesView payload) {
    GYRE_ASSERT(payload.size() <= max_hello_payload, "an answer is short");
    Bytes plain{accepted};
    append(plain, payload);
    return state_->answer(plain);
}

Bytes ServerHandshake::refuse(const Error& reason) {
    if (!state_->ephemerals) return believed_in_the_clear(reason.code()) ? clear_refusal(reason) : Bytes{};
    Bytes plain{refused};
    append_reason(plain, reason);
    return state_->answer(plain);
}

Secrets ServerHandshake::secrets() const {
    GYRE_ASSERT(state_->complete, "secrets come from both messages");
    return state_->secrets(false);
}

}  // namespace gyre::secure
