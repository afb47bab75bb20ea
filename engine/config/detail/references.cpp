#include <cstdlib>
#include <filesystem>

#include "macros.hpp"
#include "parser.hpp"

namespace gyre::config::detail {

bool is_macro_name(std::string_view text) {
    if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
    for (const char c : text) {
        const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_') return false;
    }
    return true;
}

Node from_loose(std::string_view text, std::uint32_t depth) {
    Source source{{}, std::string(text)};
    Faults faults;
    Node node;
    if (text.size() <= file_bytes_max) node = parse(source, faults, faults, {.plain = true, .depth = depth});
    if (!faults.empty() || text.size() > file_bytes_max) {
        node = {};
        node.kind = Kind::text;
    }
    node.set_place({});
    if (node.is_scalar() && (node.kind != Kind::text || !faults.empty())) node.text = text;
    return node;
}

std::string path_from(const Source& source, std::string_view path) {
    if (path.starts_with('/')) return std::string(path);
    return std::filesystem::path(std::string(source.folder()) + std::string(path)).lexically_normal().string();
}

Result<std::string> read_file(const LoadOptions& options, const std::string& path, std::size_t bytes_max) {
    if (!options.read_file) return read_regular_file(path, bytes_max);
    auto text = options.read_file(path, bytes_max);
    if (text && text->size() > bytes_max) return Error(errc::bad_config, "is too large: at most " + std::to_string(bytes_max) + " bytes");
    return text;
}

}  // namespace gyre::config::detail
