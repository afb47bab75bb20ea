#include <gyre/codec/json.hpp>
#include <gyre/node/known_sections.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "commands.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

using config::Key;
using config::SectionShape;

/// The configuration as `gyre up` reads it, and who reads what of it.
struct Opened {
    explicit Opened(config::Document read) : document(std::move(read)), known(document), shapes(known.shapes()) {}
    config::Document document;
    node::KnownSections known;
    std::vector<SectionShape> shapes;
};

std::unique_ptr<Opened> open(const ConfigOptions& options) {
    node::ProcessOptions process = options.process;
    process.supervised = true;
    auto document = node::read_document(process);
    if (!document) {
        say(document.error().message());
        return nullptr;
    }
    return std::make_unique<Opened>(*std::move(document));
}

std::string file_name(const ConfigOptions& options) {
    if (!options.process.config_file.empty()) return options.process.config_file;
    return ::access("gyre.json", F_OK) == 0 ? "gyre.json" : "no gyre.json";
}

std::size_t width() {
    winsize size{};
    return ::isatty(STDOUT_FILENO) && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 0;
}

void print_problems(const std::vector<config::Problem>& problems) {
    bool first = true;
    for (const auto& problem : problems) {
        std::string text = config::print(problem);
        const std::size_t line = std::min(text.find('\n'), text.size());
        text.replace(0, line, styled(STDERR_FILENO, Style::red, text.substr(0, line)));
        std::fprintf(stderr, "%s%s\n", first ? "" : "\n", text.c_str());
        first = false;
    }
}

std::vector<std::string> top_keys(const config::Document& document) {
    std::vector<std::string> keys;
    const auto json = document.to_redacted_json();
    const auto bytes = json ? json_to_msgpack(*json) : Result<Bytes>(json.error());
    if (!bytes) return keys;
    Reader reader(*bytes);
    std::size_t count = 0;
    std::string_view key;
    for (bool more = reader.map(count); more && count > 0; --count)
        if ((more = reader.text(key) && reader.skip())) keys.emplace_back(key);
    return keys;
}

std::string shown_default(const Key& key) {
    if (key.shape.standard.empty()) return "";
    return key.secret && key.shape.standard != "\"\"" ? "(secret)" : key.shape.standard;
}

struct Row {
    std::string key, value, place;
    bool set = false;
};

/// Of a section, or of one that nobody declared.
std::vector<Row> rows_of(const Opened& opened, const SectionShape& section, bool defaults) {
    std::vector<Row> rows;
    config::each_key(section, [&](const std::string& path, const Key& key) {
        if (path.find("[]") != path.npos || path.find(".*") != path.npos) return;
        const auto why = opened.document.explain(path);
        if (why.found) rows.push_back({path, why.value, why.place, true});
        else if (defaults) rows.push_back({path, shown_default(key), "default", false});
    });
    return rows;
}

int show_json(const Opened& opened, const ConfigOptions& options) {
    config::Document shown;
    if (options.defaults)
        for (const auto& section : opened.shapes)
            config::each_key(section, [&](const std::string& path, const Key& key) {
                if (path.find("[]") != path.npos || path.find(".*") != path.npos) return;
                if (const std::string value = shown_default(key); !value.empty()) (void)shown.set(path + "=" + value);
            });
    shown.overlay(opened.document);
    const config::Declaration declared(shown, opened.document.sections());
    const auto json = shown.to_redacted_json();
    if (!json) {
        say(json.error().message());
        return node::exit_code::refused;
    }
    if (options.key.empty()) {
        std::printf("%s\n", json->c_str());
        return node::exit_code::ok;
    }
    const auto bytes = json_to_msgpack(*json).value();
    Reader reader(bytes);
    std::size_t count = 0;
    std::string_view key;
    std::string found = "{}";
    for (bool more = reader.map(count); more && count > 0; --count) {
        if (!reader.text(key)) break;
        const BytesView rest = reader.rest();
        more = reader.skip();
        if (more && key == options.key) found = msgpack_to_json(rest.first(rest.size() - reader.rest().size()), true).value();
    }
    std::printf("%s\n", found.c_str());
    return node::exit_code::ok;
}

std::vector<std::string> all_keys(const Opened& opened) {
    std::vector<std::string> keys;
    for (const auto& section : opened.shapes)
        config::each_key(section, [&](const std::string& path, const Key&) { keys.push_back(path); });
    return keys;
}

void line(const std::string& name, const std::string& text) {
    if (!text.empty()) std::printf("  %s  %s\n", styled(STDOUT_FILENO, Style::dim, name + std::string(10 - name.size(), ' ')).c_str(), text.c_str());
}

/// Names of the last part first: "max_sesions" is near "gate.max_sessions".
std::string did_you_mean(const std::string& wrong, const std::vector<std::string>& keys) {
    auto near = near_names(wrong, keys);
    if (near.empty()) {
        std::vector<std::string> last;
        for (const auto& key : keys) last.push_back(key.substr(key.rfind('.') + 1));
        for (const auto& name : near_names(wrong.substr(wrong.rfind('.') + 1), last))
            for (const auto& key : keys)
                if (key.ends_with("." + name) && !std::ranges::count(near, key) && near.size() < 3) near.push_back(key);
    }
    std::string text;
    for (const auto& name : near) text += (text.empty() ? "; did you mean " : ", ") + name;
    return text + (text.empty() ? "" : "?");
}

}  // namespace

int check_config(const ConfigOptions& options) {
    const auto opened = open(options);
    if (!opened) return node::exit_code::refused;
    const auto problems = opened->known.problems();
    if (!problems.empty()) {
        print_problems(problems);
        std::fprintf(stderr, "\n");
        say(file_name(options) + ": " + std::to_string(problems.size()) + (problems.size() == 1 ? " mistake" : " mistakes"));
        return node::exit_code::refused;
    }
    std::size_t sections = 0;
    for (const auto& key : top_keys(opened->document)) {
        const bool known = std::ranges::count(opened->shapes, key, &SectionShape::name) != 0;
        sections += known;
        if (!known) say(styled(STDERR_FILENO, Style::yellow, "note: ") + key + ": nobody declares it, so nothing in it was checked");
    }
    std::printf("%s: %s, %zu of %zu sections set\n", file_name(options).c_str(), styled(STDOUT_FILENO, Style::green, "ok").c_str(),
                sections, opened->shapes.size());
    return node::exit_code::ok;
}

int show_config(const ConfigOptions& options) {
    const auto opened = open(options);
    if (!opened) return node::exit_code::refused;
    if (const auto problems = opened->document.problems(); !problems.empty()) {
        print_problems(problems);
        return node::exit_code::refused;
    }
    std::vector<std::string> names;
    for (const auto& section : opened->shapes) names.push_back(section.name);
    const auto tops = top_keys(opened->document);
    if (!options.key.empty() && !std::ranges::count(names, options.key) && !std::ranges::count(tops, options.key)) {
        say("no section \"" + options.key + "\"" + did_you_mean(options.key, names));
        return node::exit_code::refused;
    }
    if (options.json) return show_json(*opened, options);
    std::vector<Row> rows;
    for (const auto& section : opened->shapes)
        if (options.key.empty() || options.key == section.name)
            for (auto& row : rows_of(*opened, section, options.defaults)) rows.push_back(std::move(row));
    for (const auto& top : tops)
        if (!std::ranges::count(names, top) && (options.key.empty() || options.key == top)) {
            const auto why = opened->document.explain(top);
            rows.push_back({top, why.value, why.place, true});
        }
    if (rows.empty()) {
        say("nothing is set; --defaults shows what holds");
        return node::exit_code::ok;
    }
    std::size_t key_width = 3, value_width = 5;
    for (const auto& row : rows) key_width = std::max(key_width, row.key.size()), value_width = std::max(value_width, row.value.size());
    // On a terminal a long list is cut, so that a line stays one.
    const std::size_t all = width();
    if (all > key_width + 40) value_width = std::min(value_width, all - key_width - 30);
    else value_width = std::min<std::size_t>(value_width, 60);
    const bool cut = all != 0;
    const auto pad = [](std::string text, std::size_t to) { return text.size() < to ? text + std::string(to - text.size(), ' ') : text; };
    std::printf("%s\n", styled(STDOUT_FILENO, Style::dim, pad("KEY", key_width) + "  " + pad("VALUE", value_width) + "  SET BY").c_str());
    for (const auto& row : rows) {
        std::string value = row.value;
        if (cut && value.size() > value_width) {
            std::size_t end = value_width - 3;
            while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
            value = value.substr(0, end) + "...";
        }
        const std::string place = row.set ? row.place : styled(STDOUT_FILENO, Style::dim, row.place);
        std::printf("%s  %s  %s\n", pad(row.key, key_width).c_str(),
                    (row.set ? styled(STDOUT_FILENO, Style::bold, pad(value, value_width)) : pad(value, value_width)).c_str(), place.c_str());
    }
    return node::exit_code::ok;
}

int explain_config(const ConfigOptions& options) {
    const auto opened = open(options);
    if (!opened) return node::exit_code::refused;
    const auto key = config::find_key(opened->shapes, options.key);
    const auto why = opened->document.explain(options.key);
    if (!key && !(why.found && options.key.starts_with("x-"))) {
        if (std::ranges::count(opened->shapes, options.key, &SectionShape::name)) {
            say(options.key + " is a section: gyre config show " + options.key + " --defaults");
            return node::exit_code::refused;
        }
        say("no key \"" + options.key + "\"" + did_you_mean(options.key, all_keys(*opened)));
        return node::exit_code::refused;
    }
    const bool in_list = options.key.find('[') != std::string::npos;
    const std::string value = !why.found && in_list ? "(no such element is set: gyre config explain " + options.key.substr(0, options.key.find('[')) + ")"
                              : !why.found ? shown_default(*key) : why.value.empty() ? "(wrong: gyre config check)" : why.value;
    std::printf("%s = %s\n", options.key.c_str(), styled(STDOUT_FILENO, Style::bold, value).c_str());
    line("set by", why.found ? why.place : "nobody: the default");
    for (const auto& step : why.through) line("through", step);
    for (const auto& layer : why.overrode) line("instead of", layer.value + ", " + layer.place);
    if (!key) return node::exit_code::ok;
    line("type", config::type_in_words(key->shape));
    line("range", config::range_in_words(key->shape));
    line("unit", key->unit);
    if (why.found) line("default", shown_default(*key));
    line("effect", key->live ? styled(STDOUT_FILENO, Style::green, "live") + ": a change counts after gyre reload --config"
                             : "restart: a change counts when the cluster starts again");
    if (key->secret) line("secret", "never shown");
    line("about", key->about);
    return node::exit_code::ok;
}

int print_schema(const ConfigOptions& options) {
    const auto opened = open(options);
    if (!opened) return node::exit_code::refused;
    for (const auto& error : opened->known.missing()) say(styled(STDERR_FILENO, Style::yellow, "without: ") + error.message());
    std::fputs(config::json_schema(opened->shapes).c_str(), stdout);
    return node::exit_code::ok;
}

}  // namespace gyre::cli
