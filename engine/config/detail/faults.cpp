#include "faults.hpp"

#include <algorithm>
#include <tuple>

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
    // File by file, each from its beginning.
    std::vector<const Source*> sources;
    std::vector<std::pair<std::size_t, const Fault*>> sorted;
    for (const Fault& fault : kept_) {
        const auto known = std::ranges::find(sources, fault.place.source);
        sorted.emplace_back(known - sources.begin(), &fault);
        if (known == sources.end()) sources.push_back(fault.place.source);
    }
    std::ranges::sort(sorted, {}, [](const auto& one) {
        return std::tuple(one.first, one.second->place.offset, one.second);  // they lie in the order they were found
    });
    std::vector<Problem> problems;
    for (const auto& [order, at_fault] : sorted) {
        const Fault& fault = *at_fault;
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
