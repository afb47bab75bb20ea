#pragma once
#include <functional>
#include <gyre/base/result.hpp>
#include <gyre/codec/codec.hpp>
#include <gyre/config/check.hpp>
#include <memory>
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
    /// validated. A section that is not there gives T's defaults. Unknown keys are errors.
    template <class T>
    Result<T> as(std::string_view section = {}) const {
        T value{};
        if (auto result = read(section, &detail::read<T>, &value); !result.ok()) {
            return result.error();
        }
        remember(section, &detail::read<T>);
        return value;
    }

    /// A section that was read from a document, by code that is still there.
    struct Section {
        std::string name;
        bool late = false;  ///< Also after set_started().
    };
    std::vector<Section> sections_read() const;
    void set_started();
    /// The sections of `next`, as they were read here: the first problem.
    Result<> check(const Document& next) const;
    /// What `next` says, for all that reads from now on.
    void replace_with(const Document& next);
    /// No check runs the code of readers for which `leaves(address)` holds any more.
    void forget_readers(const std::function<bool(const void* code)>& leaves);

    /// All of it as JSON, macros replaced: what a node really runs with.
    Result<std::string> to_json() const;

private:
    struct Tree;
    Result<> read(std::string_view section, detail::Read read, void* value) const;
    void remember(std::string_view section, detail::Read read) const;
    std::unique_ptr<Tree> tree_;
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
