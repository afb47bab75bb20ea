#include <gyre/io/datagram.hpp>

#include <gyre/io/detail/socket.hpp>

namespace gyre::io {

Result<SocketAddress> SocketAddress::of(const Endpoint& endpoint) {
    const auto address = detail::to_address(endpoint);
    if (!address) return address.error();
    return SocketAddress{ntohl(address->sin_addr.s_addr), endpoint.port};
}

Endpoint SocketAddress::endpoint() const {
    sockaddr_in address{};
    address.sin_addr.s_addr = htonl(ip);
    address.sin_port = htons(port);
    return detail::to_endpoint(address);
}

}  // namespace gyre::io
