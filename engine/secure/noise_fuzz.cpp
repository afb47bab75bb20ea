#include <algorithm>
#include <cstdlib>
#include <gyre/secure/handshake.hpp>

using namespace gyre;
using namespace gyre::secure;

namespace {

Seed seed_of(std::uint8_t value) {
    Seed seed;
    seed.fill(value);
    return seed;
}
const Identity identity{Key(seed_of(0x11))};
const Key shared{seed_of(0x22)};

ClientHandshake client_of(bool nodes) {
    return nodes ? ClientHandshake(shared, seed_of(1)) : ClientHandshake(identity.public_key(), seed_of(1));
}
ServerHandshake server_of(bool nodes) {
    return nodes ? ServerHandshake(shared, seed_of(2)) : ServerHandshake(identity, seed_of(2));
}
void expect(bool right) {
    if (!right) std::abort();
}

/// A server hears `bytes`, and the refusal it may answer with never is longer than a handshake.
void server_hears(bool nodes, BytesView bytes) {
    auto server = server_of(nodes);
    const auto heard = server.first(bytes);
    if (heard) expect(heard->size() <= max_hello_payload);
    const Bytes refusal = server.refuse(heard ? Error("maintenance", std::string(1000, 'x')) : heard.error());
    expect(refusal.size() <= max_handshake_message);
    if (!refusal.empty()) expect(!client_of(nodes).second(refusal));
}

/// A client hears `bytes`, and afterwards the real answer still counts.
void client_hears(bool nodes, BytesView bytes, bool sealed_by_server) {
    auto client = client_of(nodes);
    const Bytes first = client.first(as_bytes("build 7"));
    auto server = server_of(nodes);
    expect(server.first(first).ok());
    if (sealed_by_server) {  // authentic, and hostile: whatever it says is a payload or an error
        const Bytes answer = server.second(bytes.first(std::min(bytes.size(), max_hello_payload)));
        expect(client.second(answer).ok());
        return;
    }
    const auto said = client.second(bytes);
    const Bytes answer = server.second(as_bytes("welcome"));
    if (said) return expect(std::ranges::equal(bytes, answer));
    expect(!said.error().code().empty());
    expect(as_text(client.second(answer).value()) == "welcome");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const BytesView bytes{data + 1, size - 1};
    const bool nodes = data[0] & 1;
    switch (data[0] >> 1 & 3) {
        case 0: server_hears(nodes, bytes); break;
        case 1: client_hears(nodes, bytes, false); break;
        case 2: client_hears(nodes, bytes, true); break;
        default: (void)public_key_from_text(as_text(bytes));
    }
    return 0;
}
