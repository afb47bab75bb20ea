#include "loader.hpp"

#include <algorithm>

#include "macros.hpp"
#include "parser.hpp"

namespace gyre::config::detail {
namespace {

constexpr std::string_view include_key = "$include", profiles_key = "$profiles", schema_key = "$schema";
constexpr std::size_t include_depth_max = 16;
constexpr std::size_t include_files_max = 1'024;

class Loader {
public:
    Loader(const LoadOptions& options, Loaded& loaded) : options_(options), to_(loaded) {}

    void main_text(std::string text, std::string name) {
        Source& source = add_source(std::move(text), std::move(name), {});
        to_.root = file(source, "", depth_max);
        if (options_.profile.empty() || profile_found_ || !to_.syntax.empty()) return;
        std::string names;
        for (const auto& one : profile_names_) names += (names.empty() ? ", only " : ", ") + one;
        const std::string hint = suggestion(options_.profile, profile_names_);
        to_.faults.add({profiles_at_.source ? profiles_at_ : to_.root.place, std::string(profiles_at_.source ? profiles_key : ""),
                        "there is no profile \"" + options_.profile + "\"" + (names.empty() ? ": the file has no $profiles" : names) +
                            (hint.find("did you mean") == hint.npos ? "" : hint)});
    }
    void main_file(const std::string& path) {
        auto text = read_file(options_, path, file_bytes_max);
        if (text) return main_text(*std::move(text), path);
        to_.sources.push_back(std::make_shared<Source>(Source{.name = path}));
        to_.syntax.add({{to_.sources.back().get()}, "", text.error().message()});
    }

private:
    Source& add_source(std::string text, std::string name, const Place& from) {
        to_.sources.push_back(std::make_shared<Source>(Source{std::move(name), std::move(text), true, from}));
        return *to_.sources.back();
    }

    /// The object in one file, whole. path: the key it is put at.
    Node file(Source& source, const std::string& path, std::uint32_t depth) {
        Node root = parse(source, to_.syntax, to_.faults, {.depth = depth, .nodes = nodes_left_});
        nodes_left_ -= std::min(nodes_left_, count(root));
        if (!to_.syntax.empty()) return root;
        if (root.find(schema_key)) (void)root.take(schema_key);
        Node profile;
        const bool has_profile = take_profile(root, profile);
        object(root, path, depth);
        if (has_profile) {
            object(profile, path, depth);
            merge(root, std::move(profile));
        }
        return root;
    }

    static std::size_t count(const Node& node) {
        std::size_t nodes = 1;
        for (const Node& child : node.children) nodes += count(child);
        return nodes;
    }

    bool take_profile(Node& root, Node& profile) {
        if (!root.find(profiles_key)) return false;
        Node profiles = root.take(profiles_key);
        if (!profiles_at_.source) profiles_at_ = profiles.key_place;
        if (profiles.kind != Kind::map) {
            to_.faults.add({profiles.place, std::string(profiles_key), "expected an object of profiles, found " + profiles.describe()});
            return false;
        }
        bool found = false;
        for (Node& one : profiles.children) {
            if (std::ranges::find(profile_names_, one.key) == profile_names_.end()) profile_names_.push_back(one.key);
            if (one.kind != Kind::map) {
                to_.faults.add({one.place, join_path(profiles_key, one.key), "expected an object, found " + one.describe()});
            } else if (one.key == options_.profile) {
                profile = std::move(one);
                profile.key.clear();
                profile_found_ = found = true;
            }
        }
        return found;
    }

    /// Its includes, and those of all below. The keys of the format itself are checked.
    void object(Node& node, const std::string& path, std::uint32_t depth) {
        Node include, base;
        bool includes = false;
        for (std::size_t i = 0; i < node.children.size(); ++i) {
            Node& child = node.children[i];
            const bool is_map = node.kind == Kind::map;
            if (is_map && child.key == include_key) {
                include = node.take(include_key);
                includes = true;
                --i;
                continue;
            }
            if (is_map && child.key.starts_with('$') && !own_key(child, path)) {
                (void)node.take(std::string(child.key));
                --i;
                continue;
            }
            if (child.kind == Kind::map || child.kind == Kind::array)
                object(child, is_map ? join_path(path, child.key) : join_path(path, i), depth - 1);
        }
        if (!includes) return;
        base.place = node.place;
        base.key_place = node.key_place;
        base.key = node.key;
        for (Node& one : paths(include, join_path(path, include_key))) read_include(base, one, path, depth);
        merge(base, std::move(node));
        node = std::move(base);
    }

    /// False: it was told, and goes.
    bool own_key(const Node& child, const std::string& path) {
        const std::string key = join_path(path, child.key);
        if (child.key == macro_key) {
            if (child.kind != Kind::map) {
                to_.faults.add({child.place, key, "expected an object of macros, found " + child.describe()});
                return false;
            }
            for (const Node& macro : child.children)
                if (!is_macro_name(macro.key))
                    to_.faults.add({macro.key_place, key, "a macro is named with letters, digits and _, and begins with no digit"});
            return true;
        }
        if (child.key == profiles_key || child.key == schema_key)
            to_.faults.add({child.key_place, key, "stands at the root of a file only"});
        else
            to_.faults.add({child.key_place, key, "unknown key; keys with a $ are the format's own: $MACRO$, $include, $profiles, $schema"});
        return false;
    }

    std::vector<Node> paths(Node& include, const std::string& key) {
        std::vector<Node> paths;
        const bool is_list = include.kind == Kind::array;
        if (is_list) paths = std::move(include.children);
        else paths.push_back(std::move(include));
        for (std::size_t i = 0; i < paths.size(); ++i) {
            const std::string at = is_list ? join_path(key, i) : key;
            if (paths[i].kind == Kind::text) {
                expand_path(paths[i], at, options_, to_.faults);
            } else {
                to_.faults.add({paths[i].place, at, "expected the path of a file or a list of them, found " + paths[i].describe()});
                paths[i].kind = Kind::end;
            }
            if (paths[i].kind == Kind::text && paths[i].text.empty()) {
                to_.faults.add({paths[i].place, at, "expected the path of a file, found an empty text"});
                paths[i].kind = Kind::end;
            }
        }
        std::erase_if(paths, [](const Node& path) { return path.kind != Kind::text; });
        return paths;
    }

    void read_include(Node& base, const Node& include, const std::string& path, std::uint32_t depth) {
        const std::string name = path_from(*include.place.source, include.text);
        const auto refuse = [&](const std::string& reason) { to_.faults.add({include.place, join_path(path, include_key), reason}); };
        // From the file that says it up to the main one.
        std::vector<std::string> chain{name};
        bool cycle = false;
        for (const Source* up = include.place.source; up && !cycle; up = up->included_at.source) {
            cycle = path_from(Source{}, up->name) == name;
            chain.push_back(up->name);
        }
        if (cycle) {
            std::string names;
            for (auto it = chain.rbegin(); it != chain.rend(); ++it) names += (names.empty() ? "" : " -> ") + *it;
            return refuse(name + " includes itself: " + names);
        }
        if (chain.size() > include_depth_max + 1)
            return refuse("more than " + std::to_string(include_depth_max) + " files within each other, from " + chain.back());
        if (++files_ > include_files_max) {
            if (files_ == include_files_max + 1) refuse("more than " + std::to_string(include_files_max) + " includes");
            return;
        }
        auto text = read_file(options_, name, bytes_left_);
        if (!text) return refuse(name + " " + text.error().message());
        bytes_left_ -= text->size();
        Source& source = add_source(*std::move(text), name, include.place);
        Node read = file(source, path, depth);
        read.key_place = {};
        if (read.kind == Kind::map) merge(base, std::move(read));
    }

    const LoadOptions& options_;
    Loaded& to_;
    std::size_t nodes_left_ = nodes_max;
    std::size_t bytes_left_ = file_bytes_max;
    std::size_t files_ = 0;
    bool profile_found_ = false;
    Place profiles_at_;
    std::vector<std::string> profile_names_;
};

}  // namespace

Loaded load_file(const std::string& path, const LoadOptions& options) {
    Loaded loaded;
    Loader(options, loaded).main_file(path);
    return loaded;
}

Loaded load_text(std::string text, std::string name, const LoadOptions& options) {
    Loaded loaded;
    if (text.size() > file_bytes_max) {
        loaded.sources.push_back(std::make_shared<Source>(Source{.name = std::move(name)}));
        loaded.syntax.add({{loaded.sources.back().get()}, "", "is too large: " + std::to_string(text.size()) +
                               " bytes, at most " + std::to_string(file_bytes_max)});
        return loaded;
    }
    Loader(options, loaded).main_text(std::move(text), std::move(name));
    return loaded;
}

}  // namespace gyre::config::detail
