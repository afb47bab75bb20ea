#include <charconv>
#include <gyre/io/io.hpp>

namespace gyre::io {

Result<Endpoint> Endpoint::parse(std::string_view text) {
    const auto bad = [&] {
        return Error(errc::bad_arguments,
                     "address \"" + std::string(text) + "\": expected HOST:PORT, as 127.0.0.1:7000");
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return bad();
    Endpoint endpoint{std::string(text.substr(0, colon)), 0};
    const std::string_view port = text.substr(colon + 1);
    const auto [end, failure] =
        std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (failure != std::errc{} || end != port.data() + port.size() || port.empty()) return bad();
    return endpoint;
}

}  // namespace gyre::io
