#pragma once
#include <gyre/config/schema.hpp>
#include <gyre/module/loader.hpp>

namespace gyre::node {

/// The sections of the engine and of the modules that a document names, loaded and declared in it
/// for as long as this is: for tools, which run no nodes. The document outlives it.
class KnownSections {
public:
    /// A module that cannot be loaded is in missing().
    explicit KnownSections(config::Document& document);
    std::vector<config::SectionShape> shapes() const;
    const std::vector<Error>& missing() const { return missing_; }
    /// All that is wrong with the document, missing modules and what is wrong between sections of two
    /// modules included. Empty: nothing.
    std::vector<config::Problem> problems() const;

private:
    struct Part {
        std::string module;  // empty: the engine
        std::span<const config::Section* const> sections;
    };
    config::Document& document_;
    std::vector<module::Loaded> modules_;  // before what points into them
    std::vector<Part> parts_;
    std::vector<config::Declaration> declared_;
    std::vector<Error> missing_;
};

}  // namespace gyre::node
