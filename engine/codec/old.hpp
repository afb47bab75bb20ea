#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/codec/describe.hpp>
#include <gyre/codec/scalars.hpp>
#include <optional>
#include <vector>

namespace gyre {

/// The fields of an object as another build wrote it, for
///
///     static void migrate(gyre::Old& old, Bag& now) {
///         if (auto gold = old.get<std::int64_t>("gold")) now.coins = *gold;   // renamed
///     }
///
/// which runs whenever a value of the type is read by names: when a reload carries it over, when a
/// document is loaded. Fields that kept name and type are in `now` already; those of a type that
/// does not fit must be asked for, or the value is refused.
class Old {
public:
    bool has(std::string_view field) const { return find(field) != nullptr; }
    /// Nothing: there is no such field, or it is no T.
    template <class T>
    std::optional<T> get(std::string_view field) {
        const Part* part = take(field);
        if (!part) return {};
        std::optional<T> value(std::in_place);
        Reader reader(part->bytes, options_);
        if (!Codec<T>::decode(reader, *value) || !reader.finish()) value.reset();
        return value;
    }

    struct Part {
        std::string_view name;
        BytesView bytes;
        bool unread = false;  ///< It does not fit the field of that name, and nobody asked for it.
    };
    explicit Old(ReaderOptions options) : options_(options) {}
    void add(Part part) { parts_.push_back(part); }
    const Part* first_unread() const;

private:
    const Part* find(std::string_view field) const;
    const Part* take(std::string_view field);
    ReaderOptions options_;
    std::vector<Part> parts_;
};

/// T's own, without its type.
using Migrate = void (*)(Old& old, void* now);

namespace detail {
template <class T>
struct Named {
    int migrate;
};
template <class T>
struct MigrateProbe : T, Named<T> {};
template <class T>
consteval bool names_migrate() {
    if constexpr (std::is_final_v<T>) return requires { &T::migrate; };
    else return !requires { &MigrateProbe<T>::migrate; };
}
template <class T>
consteval Migrate migration_of() {
    if constexpr (names_migrate<T>()) {
        constexpr bool fits = requires(Old& old, T& now) { T::migrate(old, now); };
        static_assert(fits, "gyre: migrate must be a public `static void migrate(gyre::Old& old, T& now)`");
        if constexpr (fits) return [](Old& old, void* now) { T::migrate(old, *static_cast<T*>(now)); };
    }
    return nullptr;
}
}  // namespace detail

}  // namespace gyre
