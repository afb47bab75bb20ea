#include <gyre/codec/json.hpp>
#include <gyre/module/check_process.hpp>
#include <gyre/module/loader.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "commands.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

/// The text with its first words in colour.
std::string coloured(const module::CheckReport& report) {
    std::string text = module::readable(report);
    const auto colour = [&](std::string_view word, Style style) {
        for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos;) {
            const std::string with = styled(1, style, word);
            text.replace(at, word.size(), with);
            at += with.size();
        }
    };
    colour("  error: ", Style::red);
    colour("  warning: ", Style::yellow);
    return text;
}

}  // namespace

int check_module(const CheckOptions& options) {
    if (options.limit_s > 0) module::limit_checker(std::chrono::seconds(options.limit_s));
    module::Expectations expected;
    if (!options.expect.empty()) {
        std::ifstream file(options.expect, std::ios::binary);
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        auto read = from_json<module::Expectations>(text, {.max_bytes = 1u << 30});
        if (!read) {
            say(options.expect + ": " + (file ? read.error().message() : "cannot be read"));
            return node::exit_code::refused;
        }
        expected = *std::move(read);
    }
    const auto file = module::find_module(options.file);
    if (!file) {
        say(file.error().what());
        return node::exit_code::refused;
    }
    const auto report = module::check_module(*file, expected, [&](const std::string& step) {
        if (options.steps) std::fprintf(stderr, "gyre-check: %s\n", step.c_str());
    });
    const std::string text = options.json ? to_json(report) + "\n" : coloured(report);
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    return report.ok ? node::exit_code::ok : node::exit_code::failed;
}

}  // namespace gyre::cli
