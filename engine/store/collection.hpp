#pragma once
#include <gyre/codec/codec.hpp>
#include <gyre/store/documents.hpp>
#include <utility>

namespace gyre::store {

/// The documents of one collection as values of a described type T. Errors as of Documents, and
/// bad_data with the place when a stored value is not a T.
template <class T>
class Collection {
public:
    struct Read {
        T value;
        std::uint64_t version;
        Owner owner;
        std::uint64_t epoch;
    };

    /// `documents` outlives this.
    Collection(Documents& documents, std::string name)
        : documents_(documents), name_(std::move(name)) {}

    Task<std::optional<T>> find(std::string key) {
        auto found = co_await read(std::move(key));
        if (!found) co_return std::nullopt;
        co_return std::move(found->value);
    }
    Task<std::optional<Read>> read(std::string key) {
        auto document = co_await documents_.find(name_, std::move(key));
        if (!document) co_return std::nullopt;
        T value = parse(*document);
        co_return Read{std::move(value), document->version, std::move(document->owner),
                       document->epoch};
    }
    /// Error: conflict, when it exists.
    Task<> insert(std::string key, T value) {
        (void)co_await documents_.insert(name_, std::move(key), encode(value, Form::names));
    }
    /// Error: conflict, when it has another version.
    Task<> replace(std::string key, T value, std::uint64_t version) {
        co_await documents_.replace(name_, std::move(key), encode(value, Form::names), version);
    }
    /// Applies `change(T&)` to the stored value; again on the new one when another was faster.
    /// Returns what was stored. Errors: not_found, conflict after 16 times, and what it throws.
    template <class F>
    Task<T> update(std::string key, F change) {
        for (int attempt = 1;; ++attempt) {
            auto found = co_await read(key);
            if (!found) throw Error(errc::not_found, name_ + "/" + key);
            change(found->value);
            try {
                co_await replace(key, found->value, found->version);
                co_return std::move(found->value);
            } catch (const Error& error) {
                if (!error.is(errc::conflict) || attempt == 16) throw;
            }
        }
    }
    Task<bool> erase(std::string key) { return documents_.erase(name_, std::move(key)); }
    /// In byte order of the keys, see Documents::list.
    Task<std::vector<std::pair<std::string, T>>> list(std::string prefix, std::size_t limit,
                                                      std::string after = {}) {
        std::vector<std::pair<std::string, T>> values;
        for (auto& document :
             co_await documents_.list(name_, std::move(prefix), limit, std::move(after)))
            values.emplace_back(document.key, parse(document));
        co_return values;
    }
    const std::string& name() const { return name_; }

private:
    T parse(const Document& document) const {
        auto value = decode<T>(document.value);
        if (!value)
            throw Error(errc::bad_data,
                        name_ + "/" + document.key + ": " + value.error().message());
        return *std::move(value);
    }
    Documents& documents_;
    std::string name_;
};

}  // namespace gyre::store
