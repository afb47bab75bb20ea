#pragma once
#include <functional>
#include <gyre/base/result.hpp>
#include <gyre/config/bind.hpp>
#include <gyre/config/explain.hpp>
#include <gyre/config/load_options.hpp>
#include <gyre/config/problem.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::config {

struct Shape;

/// A section that code declares. Constants: a module's can be listed without running any of it.
struct Section {
    std::string_view name;
    detail::Bind bind;
    Shape (*shape)();  ///< What is in it: schema.hpp.
};

/// T is the section of its name wherever it is read:
/// struct MatchRules { static constexpr std::string_view config_section = "arena"; ... };
template <class T>
concept HasSection = Described<T> && requires { std::string_view(T::config_section); };

/// Configuration before it becomes structs: where each value came from is remembered, so errors
/// name it. All errors are bad_config and tell all that is wrong, as print(Problem) does.
class Document {
public:
    Document();  ///< Empty: every struct keeps its defaults.
    Document(const Document&);
    Document(Document&&) noexcept;
    Document& operator=(const Document&);
    Document& operator=(Document&&) noexcept;
    ~Document();

    /// Errors: what cannot be read, and syntax. What else is wrong is in problems().
    static Result<Document> from_file(const std::string& path, const LoadOptions& options = {});
    /// name: stands for the file in errors; files it names are beside it.
    static Result<Document> from_text(std::string_view text, std::string name = "config", const LoadOptions& options = {});

    /// Objects of `over` merge into those here; everything else replaces.
    void overlay(const Document& over);
    /// One "key.path=value". origin: how errors call it.
    Result<> set(std::string_view assignment, std::string_view origin = "--set");
    /// GYRE__GATE__PORT=7001 for every such name. environment: as environ.
    Result<> set_from_environment(const char* const* environment);

    /// T from the object at `section` ("gate", "nodes.battle"; empty: from all), macros replaced,
    /// validated. A section that is not there gives T's defaults. Unknown keys are errors, and a
    /// section that nobody declared when any is.
    template <class T>
    Result<T> as(std::string_view section) const {
        if (auto known = declared(section); !known.ok()) return known.error();
        T value{};
        if (auto result = read(section, &detail::bind_root<T>, &value); !result.ok()) {
            return result.error();
        }
        return value;
    }
    /// T from its own section; from all when it has none.
    template <class T>
    Result<T> as() const {
        if constexpr (HasSection<T>) return as<T>(T::config_section);
        else return as<T>(std::string_view());
    }
    /// What is wrong with the section alone: unknown keys, types, ranges, validate().
    template <class T>
    std::vector<Problem> problems_of(std::string_view section) const {
        return problems_of(section, &detail::bind_root<T>);
    }
    /// What is wrong with all of it: files, macros, variables, keys given twice. While there is any,
    /// as() gives an error.
    std::vector<Problem> problems() const;

    /// "gate.port", "cluster.nodes[0].name".
    Explanation explain(std::string_view key) const;

    /// From now on these sections may be there and be read, besides those declared before and those
    /// that begin with "x-"; of two with one name the later holds. They may be declared more than
    /// once, and stay where they are until they were withdrawn as often.
    void declare(std::span<const Section* const> sections);
    void withdraw(std::span<const Section* const> sections);
    /// By name, each once.
    std::vector<const Section*> sections() const;
    /// Reads every section declared here from `next`. Error: all that is wrong, sections nobody
    /// declared among it.
    Result<> check(const Document& next) const;
    std::vector<Problem> problems_of(const Document& next) const;  ///< What check() tells.
    /// The same of these sections alone.
    Result<> check(const Document& next, std::span<const Section* const> sections) const;
    /// What `next` says, for all that reads from now on.
    void replace_with(const Document& next);

    /// All of it as JSON, macros replaced: what a node really runs with.
    Result<std::string> to_json() const;
    /// The same without secrets: fields marked secret of what is declared, ${file:...}, names that say so,
    /// passwords in addresses, and keys for which `also` holds.
    Result<std::string> to_redacted_json(const std::function<bool(std::string_view key)>& also = {}) const;

private:
    struct Tree;
    explicit Document(Tree tree);
    Result<> read(std::string_view section, detail::Bind bind, void* value) const;
    std::vector<Problem> problems_of(std::string_view section, detail::Bind bind) const;
    Result<> declared(std::string_view section) const;
    std::unique_ptr<Tree> tree_;
};

/// Sections that are declared as long as this is. The document outlives it.
class Declaration {
public:
    Declaration() = default;
    Declaration(Document& document, std::span<const Section* const> sections)
        : document_(&document), sections_(sections.begin(), sections.end()) {
        document.declare(sections_);
    }
    Declaration(Declaration&& from) noexcept
        : document_(std::exchange(from.document_, nullptr)), sections_(std::move(from.sections_)) {}
    Declaration& operator=(Declaration&& from) noexcept {
        std::swap(document_, from.document_);
        std::swap(sections_, from.sections_);
        return *this;
    }
    ~Declaration() {
        if (document_) document_->withdraw(sections_);
    }

private:
    Document* document_ = nullptr;
    std::vector<const Section*> sections_;
};

/// What stands above the file, the later the stronger.
struct Overrides {
    const char* const* environment = nullptr;  ///< As environ; null: no GYRE__ names are read.
    std::vector<std::string> set = {};         ///< "gate.port=7001", of the command line.
    std::string profile = {};                  ///< Of "$profiles"; empty: none.
};

Result<Document> open(const std::string& path, const Overrides& overrides = {});

template <class T>
Result<T> load(const std::string& path, const Overrides& overrides = {}) {
    const auto document = open(path, overrides);
    return document.ok() ? document->template as<T>() : Result<T>(document.error());
}

template <class T>
Result<T> parse(std::string_view text, const Overrides& overrides = {});

namespace detail {

Result<> apply(Document& document, const Overrides& overrides);

}  // namespace detail

template <class T>
Result<T> parse(std::string_view text, const Overrides& overrides) {
    auto document = Document::from_text(text, "config", {.profile = overrides.profile});
    if (!document.ok()) return document.error();
    if (auto applied = detail::apply(*document, overrides); !applied.ok()) return applied.error();
    return document->template as<T>();
}

}  // namespace gyre::config
