#pragma once
#include <gyre/config/config.hpp>

#include "loader.hpp"

namespace gyre::config {

struct Document::Tree {
    detail::Node root;
    detail::SourceList sources;
    detail::Faults faults;  // what is wrong with the text but its syntax
    LoadOptions options;

    struct Expanded {
        detail::Node root;
        detail::Faults faults;
    };
    /// Macros replaced; made when somebody asks.
    const Expanded& expanded() const;
    void changed() { kept.reset(); }
    detail::Faults all_faults() const;

    std::vector<const Section*> declared = {};
    void bind(std::string_view section, detail::Bind bind, void* value, detail::Faults& faults,
              std::vector<std::string>* secrets = nullptr) const;
    /// Keys of the fields marked secret, of all that is declared.
    std::vector<std::string> secret_keys() const;

    mutable std::shared_ptr<const Expanded> kept = {};
};

}  // namespace gyre::config
