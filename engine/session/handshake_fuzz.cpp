#include <cstdlib>
#include <gyre/session/handshake.hpp>

/// What can be read is written and read again as the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const gyre::BytesView bytes(data, size);
    if (const auto hello = gyre::session::read_hello(bytes)) {
        const auto again = gyre::session::read_hello(gyre::session::write_hello(*hello));
        if (!again || again->credential != hello->credential ||
            again->client_version != hello->client_version)
            std::abort();
    }
    if (const auto welcome = gyre::session::read_welcome(bytes)) {
        const auto again = gyre::session::read_welcome(gyre::session::write_welcome(*welcome));
        if (!again || again->session != welcome->session || again->entity != welcome->entity ||
            again->server_name != welcome->server_name || again->heartbeat != welcome->heartbeat)
            std::abort();
    }
    return 0;
}
