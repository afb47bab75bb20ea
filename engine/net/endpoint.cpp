#include <gyre/codec/codec.hpp>
#include <gyre/net/endpoint.hpp>

namespace gyre {

void Codec<io::Endpoint>::encode(Writer& writer, const io::Endpoint& value) {
    writer.text(value.to_string());
}

bool Codec<io::Endpoint>::decode(Reader& reader, io::Endpoint& value) {
    std::string_view text;
    if (!reader.text(text)) return false;
    auto parsed = io::Endpoint::parse(text);
    if (!parsed.ok()) return reader.fail(parsed.error().message());
    value = *std::move(parsed);
    return true;
}

}  // namespace gyre
