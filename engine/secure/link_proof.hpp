#pragma once
#include <array>
#include <cstdint>
#include <gyre/secure/key.hpp>
#include <gyre/secure/mac.hpp>
#include <string>

namespace gyre::secure {

/// Fresh random bytes, used for one connection.
using LinkNonce = std::array<std::uint8_t, 32>;

enum class LinkRole : std::uint8_t { client = 'C', server = 'S' };  ///< Who proves: connected or listened.

/// One connection between two nodes, as both ends see it.
///   client -> server: client_nonce, client_name
///   server -> client: server_nonce, server_name, link_proof(server)   the client checks, or closes
///   client -> server: link_proof(client)                              the server checks, or closes
/// A proof is of one role, both nonces and both names, so it can be neither replayed nor reflected.
struct LinkTranscript {
    LinkNonce client_nonce{}, server_nonce{};
    std::string client_name, server_name;
};

/// Shows that this end holds the cluster key.
Mac link_proof(const Key& cluster_key, LinkRole prover, const LinkTranscript& link);
bool verify_link_proof(const Key& cluster_key, LinkRole prover, const LinkTranscript& link, BytesView proof);

}  // namespace gyre::secure
