#include <gyre/config/problem.hpp>

namespace gyre::config {

std::string print(const Problem& problem) {
    std::string text = problem.file;
    if (problem.line) text += ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
    for (const std::string* part : {&problem.key, &problem.message})
        if (!part->empty()) text += (text.empty() ? "" : ": ") + *part;
    if (!problem.excerpt.empty()) text += "\n" + problem.excerpt;
    for (const std::string& place : problem.included_from) text += "\nincluded from " + place;
    return text;
}

Error to_error(std::span<const Problem> problems) {
    std::string text;
    for (const Problem& problem : problems) text += (text.empty() ? "" : "\n\n") + print(problem);
    return Error(errc::bad_config, text);
}

}  // namespace gyre::config
