#include <gyre/node/known_sections.hpp>
#include <gyre/node/process.hpp>

#include <algorithm>
#include <map>

namespace gyre::node {

KnownSections::KnownSections(config::Document& document) : document_(document) {
    auto names = document.as<std::vector<std::string>>("cluster.modules");
    if (!names || names->empty()) names = ClusterConfig{}.modules;
    for (const auto& name : *names) {
        if (auto loaded = module::load(name)) modules_.push_back(*std::move(loaded));
        else missing_.push_back(loaded.error());
    }
    parts_.push_back({"", engine_sections()});
    for (const auto& module : modules_) parts_.push_back({module.manifest->name, module.sections()});
    for (const auto& part : parts_) declared_.emplace_back(document, part.sections);
}

std::vector<config::SectionShape> KnownSections::shapes() const {
    std::vector<config::SectionShape> shapes;
    for (const auto& part : parts_)
        for (const auto* section : part.sections)
            shapes.push_back({std::string(section->name), part.module, section->shape()});
    return shapes;
}

std::vector<config::Problem> KnownSections::problems() const {
    auto problems = document_.problems_of(document_);
    const auto add = [&problems](std::string key, std::string message) {
        config::Problem problem;
        problem.key = std::move(key);
        problem.message = std::move(message);
        problems.push_back(std::move(problem));
    };
    // Their sections are unknown then, and not the file's fault.
    if (!missing_.empty())
        std::erase_if(problems, [](const auto& one) { return one.message.starts_with("no module declares"); });
    for (const auto& error : missing_) add("cluster.modules", error.message());
    std::map<std::string_view, std::string> of;
    for (const auto& part : parts_)
        for (const auto* section : part.sections) {
            const std::string who = part.module.empty() ? "the engine" : "module " + part.module;
            if (const auto [at, fresh] = of.emplace(section->name, who); !fresh)
                add(std::string(section->name), "declared by " + at->second + " and by " + who);
        }
    return problems;
}

}  // namespace gyre::node
