#pragma once
#include <gyre/codec/scalars.hpp>
#include <gyre/io/io.hpp>

/// As text: "10.0.0.7:10001".
template <>
struct gyre::Codec<gyre::io::Endpoint> {
    static void encode(Writer& writer, const io::Endpoint& value);
    static bool decode(Reader& reader, io::Endpoint& value);
};
