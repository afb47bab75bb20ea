#include <gyre/codec/json.hpp>
#include <gyre/config/schema.hpp>
#include <gyre/node/config_change.hpp>

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

Result<Leaves> leaves_of(const Result<std::string>& json) {
    if (!json) return json.error();
    const auto bytes = json_to_msgpack(*json);
    if (!bytes) return bytes.error();
    Leaves leaves;
    Reader reader(*bytes);
    if (!flatten(reader, "", leaves)) return Error(errc::bad_config, "it is nested too deep");
    return leaves;
}

TakesEffect effect_of(const std::optional<config::Key>& known) {
    if (!known) return TakesEffect::next_read;
    return known->live ? TakesEffect::now : TakesEffect::restart;
}

}  // namespace

Result<std::vector<ConfigChange>> diff(const config::Document& before, const config::Document& after) {
    const auto old = leaves_of(before.to_json()), now = leaves_of(after.to_json());
    if (!old) return old.error();
    if (!now) return now.error();
    Leaves keys = *old;
    keys.insert(now->begin(), now->end());
    const auto sections = config::shapes_of(before);
    config::Document next = after;
    const config::Declaration declared(next, before.sections());
    const auto old_shown = leaves_of(before.to_redacted_json()), now_shown = leaves_of(next.to_redacted_json());
    if (!old_shown) return old_shown.error();
    if (!now_shown) return now_shown.error();
    std::vector<ConfigChange> changes;
    for (const auto& [key, unused] : keys) {
        const auto at = [&key](const Leaves& leaves) {
            const auto found = leaves.find(key);
            if (found == leaves.end()) return std::string();
            return found->second == "\"(secret)\"" ? "(secret)" : found->second;
        };
        const std::string was = at(*old), is = at(*now);
        if (was == is) continue;
        const auto known = config::find_key(sections, key);
        changes.push_back({key, at(*old_shown), at(*now_shown), effect_of(known)});
    }
    return changes;
}

}  // namespace gyre::node
