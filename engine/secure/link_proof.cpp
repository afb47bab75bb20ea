#include <gyre/secure/link_proof.hpp>

namespace gyre::secure {
namespace {

Bytes message_of(LinkRole prover, const LinkTranscript& link) {
    Bytes message;
    append(message, as_bytes("gyre link 1"));
    message.push_back(static_cast<std::uint8_t>(prover));
    append(message, link.client_nonce);
    append(message, link.server_nonce);
    for (const auto* name : {&link.client_name, &link.server_name}) {
        // The length first: otherwise "ab" + "c" would prove "a" + "bc".
        for (int shift = 0; shift < 32; shift += 8)
            message.push_back(static_cast<std::uint8_t>(name->size() >> shift));
        append(message, as_bytes(*name));
    }
    return message;
}

}  // namespace

Mac link_proof(const Key& cluster_key, LinkRole prover, const LinkTranscript& link) {
    return mac(cluster_key.derive("gyre link").bytes(), message_of(prover, link));
}

bool verify_link_proof(const Key& cluster_key, LinkRole prover, const LinkTranscript& link,
                       BytesView proof) {
    return verify_mac(cluster_key.derive("gyre link").bytes(), message_of(prover, link), proof);
}

}  // namespace gyre::secure
