#pragma once
#include <gyre/base/result.hpp>
#include <gyre/codec/codec.hpp>
#include <gyre/config/check.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gyre::config {

namespace detail {
/// "" or "@.path.to[3]: what is wrong" (the path after the @ may be empty). value null: checked only.
using Read = std::string (*)(BytesView, void* value);
template <class T>
std::string read(BytesView bytes, void* value);
}  // namespace detail

struct Shape;

/// A section that code declares. Constants: a module's can be listed without running any of it.
struct Section {
    std::string_view name;
    detail::Read read;
    Shape (*shape)();  ///< What is in it: schema.hpp.
};

/// T is the section of its name wherever it is read:
/// struct MatchRules { static constexpr std::string_view config_section = "arena"; ... };
template <class T>
concept HasSection = Described<T> && requires { std::string_view(T::config_section); };

/// Configuration before it becomes structs: where each value came from is remembered, so errors
/// name it. All errors are bad_config.
class Document {
public:
    Document();  ///< Empty: every struct keeps its defaults.
    Document(const Document&);
    Document(Document&&) noexcept;
    Document& operator=(const Document&);
    Document& operator=(Document&&) noexcept;
    ~Document();

    static Result<Document> from_file(const std::string& path);
    /// name: stands for the file in errors.
    static Result<Document> from_text(std::string_view text, std::string name = "config");

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
        if (auto result = read(section, &detail::read<T>, &value); !result.ok()) {
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

    /// From now on these sections may be there and be read, besides those declared before and those
    /// that begin with "x-"; of two with one name the later holds. They may be declared more than
    /// once, and stay where they are until they were withdrawn as often.
    void declare(std::span<const Section* const> sections);
    void withdraw(std::span<const Section* const> sections);
    /// By name, each once.
    std::vector<const Section*> sections() const;
    /// Reads every section declared here from `next`. Error: all that is wrong, a line each, sections
    /// nobody declared among it.
    Result<> check(const Document& next) const;
    /// The same of these sections alone.
    Result<> check(const Document& next, std::span<const Section* const> sections) const;
    /// What `next` says, for all that reads from now on.
    void replace_with(const Document& next);

    /// All of it as JSON, macros replaced: what a node really runs with.
    Result<std::string> to_json() const;

private:
    struct Tree;
    Result<> read(std::string_view section, detail::Read read, void* value) const;
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

template <class T>
std::string invalid(const T& value, const std::string& path);

template <class T>
inline constexpr bool is_keyed = requires { typename T::mapped_type; };

/// The first of `value` and what it contains whose validate() refuses, innermost first.
template <class T>
std::string invalid(const T& value, const std::string& path) {
    std::string problem;
    if constexpr (Described<T>) {
        description<T>.each_field([&](const auto& field) {
            if (!problem.empty()) return;
            constexpr auto member = std::remove_cvref_t<decltype(field)>::pointer;
            problem = invalid(value.*member, path + "." + std::string(field.name));
        });
        if constexpr (requires { value.validate(); }) {
            if (!problem.empty()) return problem;
            const Result<> checked = value.validate();
            if (checked.ok()) return {};
            const std::string& message = checked.error().message();
            bool names_field = false;
            description<T>.each_field([&](const auto& field) {
                names_field |= message.starts_with(std::string(field.name) + ":");
            });
            return path + (names_field ? "." : ": ") + message;
        }
    } else if constexpr (is_keyed<T>) {
        for (const auto& [key, element] : value) {
            std::string segment = ".";
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(key)>, std::string>) {
                segment += key;
            } else if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(key)>>) {
                segment += enum_name(key);
            }
            if (problem = invalid(element, path + segment); !problem.empty()) return problem;
        }
    } else if constexpr (requires {
                             value.has_value();
                             *value;
                         }) {
        if (value.has_value()) return invalid(*value, path);
    } else if constexpr (!std::is_same_v<T, std::string> && requires {
                             value.begin();
                             value.size();
                         }) {
        if constexpr (Described<typename T::value_type>) {
            std::size_t i = 0;
            for (const auto& element : value) {
                problem = invalid(element, path + "[" + std::to_string(i++) + "]");
                if (!problem.empty()) return problem;
            }
        }
    }
    return problem;
}

template <class T>
std::string read(BytesView bytes, void* to) {
    Reader reader(bytes, {.strict = true, .from_json = true});
    T value{};
    if (!Codec<T>::decode(reader, value) || !reader.finish()) return reader.error_message("@");
    std::string problem = invalid(value, "@");
    if (problem.empty() && to) *static_cast<T*>(to) = std::move(value);
    return problem;
}

}  // namespace detail

template <class T>
Result<T> parse(std::string_view text, const Overrides& overrides) {
    auto document = Document::from_text(text);
    if (!document.ok()) return document.error();
    if (auto applied = detail::apply(*document, overrides); !applied.ok()) return applied.error();
    return document->template as<T>();
}

}  // namespace gyre::config
