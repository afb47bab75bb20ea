#include "faults.hpp"

#include <algorithm>

namespace gyre::config::detail {

void Faults::add(Fault fault) {
    const auto known = [&fault](const Fault& other) {
        return fault.place.source && other.place.source == fault.place.source &&
               other.place.offset == fault.place.offset && other.message == fault.message;
    };
    if (std::ranges::any_of(kept_, known)) return;
    if (has_room())
        kept_.push_back(std::move(fault));
    else
        ++more_;
}

void Faults::add(const Faults& others) {
    for (const Fault& fault : others.kept_) add(fault);
    more_ += others.more_;
}

std::vector<Problem> Faults::problems() const {
    std::vector<Problem> problems;
    for (const Fault& fault : kept_) {
        Problem& problem = problems.emplace_back();
        problem.key = fault.key;
        problem.message = fault.message + fault.note;
        const Source* source = fault.place.source;
        if (!source) continue;
        problem.file = source->name;
        if (source->has_lines) {
            const LineColumn at = source->at(fault.place.offset);
            problem.line = at.line;
            problem.column = at.column;
            problem.excerpt = excerpt(fault.place);
        }
        for (Place up = source->included_at; up.source; up = up.source->included_at)
            problem.included_from.push_back(to_text(up));
    }
    if (more_) problems.emplace_back().message = "and " + std::to_string(more_) + " more";
    return problems;
}

std::string suggestion(std::string_view name, std::span<const std::string_view> known) {
    Reader asked({});
    (void)asked.unknown_name("", name, known);
    const std::string message = asked.error_message();
    const std::size_t end = std::min(message.rfind("\"; "), message.size());
    return end == message.size() ? "" : message.substr(end + 1);
}

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
    const std::vector<std::string_view> views(known.begin(), known.end());
    return suggestion(name, views);
}

}  // namespace gyre::config::detail
