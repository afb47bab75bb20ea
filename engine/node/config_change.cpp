#include <gyre/codec/json.hpp>
#include <gyre/node/config_change.hpp>

#include <algorithm>
#include <map>

namespace gyre::node {
namespace {

using Leaves = std::map<std::string, std::string>;

/// Every value that is no object, as JSON, by its path. Lists are one value.
bool flatten(Reader& reader, const std::string& path, Leaves& leaves) {
    std::size_t size = 0;
    if (reader.peek() == Kind::map && reader.map(size)) {
        for (; size > 0; --size) {
            std::string_view key;
            if (!reader.text(key)) return false;
            if (!flatten(reader, path.empty() ? std::string(key) : path + "." + std::string(key), leaves))
                return false;
        }
        return true;
    }
    const BytesView rest = reader.rest();
    if (!reader.skip()) return false;
    auto text = msgpack_to_json(rest.first(rest.size() - reader.rest().size()));
    if (!text) return false;
    leaves.emplace(path, *std::move(text));
    return true;
}

Result<Leaves> leaves_of(const config::Document& document) {
    const auto json = document.to_json();
    if (!json) return json.error();
    const auto bytes = json_to_msgpack(*json);
    if (!bytes) return bytes.error();
    Leaves leaves;
    Reader reader(*bytes);
    if (!flatten(reader, "", leaves)) return Error(errc::bad_config, "it is nested too deep");
    return leaves;
}

/// Text under a key that says so, and addresses with a password in them.
std::string redacted(const std::string& key, const std::string& value) {
    if (!value.starts_with('"') && !value.starts_with('[')) return value;
    const std::string name = "_" + key.substr(key.rfind('.') + 1) + "_";
    const bool named = std::ranges::any_of(
        std::initializer_list<const char*>{"_password_", "_secret_", "_key_", "_token_", "_uri_", "_passphrase_"},
        [&name](const char* word) { return name.find(word) != name.npos; });
    const auto scheme = value.find("://");
    const bool inside = scheme != value.npos && value.find('@', scheme) != value.npos;
    return named || inside ? "(secret)" : value;
}

TakesEffect effect_of(const config::Document& running, const std::string& key) {
    if (key == "log.level") return TakesEffect::now;
    TakesEffect effect = TakesEffect::next_read;
    for (const auto& read : running.sections_read()) {
        if (key != read.name && !key.starts_with(read.name + ".")) continue;
        if (read.late) return TakesEffect::now;
        effect = TakesEffect::restart;
    }
    return effect;
}

}  // namespace

Result<std::vector<ConfigChange>> diff(const config::Document& before, const config::Document& after) {
    const auto old = leaves_of(before), now = leaves_of(after);
    if (!old) return old.error();
    if (!now) return now.error();
    Leaves keys = *old;
    keys.insert(now->begin(), now->end());
    std::vector<ConfigChange> changes;
    for (const auto& [key, unused] : keys) {
        const auto at = [&key](const Leaves& leaves) {
            const auto found = leaves.find(key);
            return found == leaves.end() ? std::string() : found->second;
        };
        const std::string was = at(*old), is = at(*now);
        if (was != is) changes.push_back({key, redacted(key, was), redacted(key, is), effect_of(before, key)});
    }
    return changes;
}

}  // namespace gyre::node
