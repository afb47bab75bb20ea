#pragma once
#include <cstddef>
#include <cstdint>
#include <gyre/base/hash.hpp>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace gyre {

template <class T>
class Task;

/// Where a field goes besides memory.
enum class Flags : std::uint8_t { transient = 0, persist = 1, to_owner = 2, to_near = 4 };
constexpr Flags operator|(Flags a, Flags b) {
    return static_cast<Flags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has_any(Flags flags, Flags mask) {
    return (static_cast<unsigned>(flags) & static_cast<unsigned>(mask)) != 0;
}
inline constexpr Flags transient = Flags::transient;  ///< Neither stored nor sent.
inline constexpr Flags persist = Flags::persist;      ///< Stored with its entity.
inline constexpr Flags to_owner = Flags::to_owner;    ///< Sent to the client that owns the entity.
inline constexpr Flags to_near = Flags::to_near;  ///< Sent to every client that sees the entity.

/// Who may call a method.
enum class Caller : std::uint8_t { server, owner, anyone };

/// Calls of a serial method queue: one ends before the next begins.
struct Serial {};
inline constexpr Serial serial{};
/// A reload that carries objects over cancels it at once instead of waiting for its end: for long
/// waits of what is called again anyway, as by a repeating timer.
struct Restartable {};
inline constexpr Restartable restartable{};

/// What one object takes of calls to a method; the rest end `overloaded`. 0: no limit.
struct Limit {
    std::uint32_t at_once = 0;     ///< In progress.
    std::uint32_t per_second = 0;  ///< Saved up for at most two seconds.
};
consteval Limit limit_at_once(std::uint32_t calls) { return {.at_once = calls}; }
consteval Limit limit_per_second(std::uint32_t calls) { return {.per_second = calls}; }

/// What a caller gets from a method that returns T.
template <class T>
struct Unwrap {
    using type = T;
};
template <class T>
struct Unwrap<Task<T>> {
    using type = T;
};

/// The types in a member function; Parameters are without const and reference.
template <class R, class C, class... P>
struct Signature {
    using Class = C;
    using Returned = R;
    using Result = typename Unwrap<R>::type;
    using Parameters = std::tuple<std::remove_cvref_t<P>...>;
    static constexpr std::size_t arity = sizeof...(P);
    static constexpr bool by_value = (!std::is_reference_v<P> && ...);
};

namespace detail {
template <class M>
struct MemberOf;
template <class V, class C>
struct MemberOf<V C::*> {
    using Class = C;
    using Value = V;
};
template <class F>
struct SignatureOf;
template <class R, class C, class... P>
struct SignatureOf<R (C::*)(P...)> : std::type_identity<Signature<R, C, P...>> {};
template <class R, class C, class... P>
struct SignatureOf<R (C::*)(P...) const> : std::type_identity<Signature<R, C, P...>> {};
template <class R, class C, class... P>
struct SignatureOf<R (C::*)(P...) noexcept> : std::type_identity<Signature<R, C, P...>> {};
template <class R, class C, class... P>
struct SignatureOf<R (C::*)(P...) const noexcept> : std::type_identity<Signature<R, C, P...>> {};

/// "&Bag::stacks" -> "stacks"
template <auto M>
consteval std::string_view member_name() {
    std::string_view text = __PRETTY_FUNCTION__;
    text = text.substr(0, text.rfind(']'));
    return text.substr(text.rfind(':') + 1);
}
}  // namespace detail

template <auto M>
using signature = typename detail::SignatureOf<std::remove_cv_t<decltype(M)>>::type;

template <auto M>
struct Field {
    using Class = typename detail::MemberOf<decltype(M)>::Class;
    using Value = typename detail::MemberOf<decltype(M)>::Value;
    static constexpr bool is_field = true, is_method = false, is_resident = false;
    static constexpr auto pointer = M;
    std::string_view name;
    Flags flags;
};

template <auto M>
struct Method {
    static constexpr bool is_field = false, is_method = true, is_resident = false;
    static constexpr auto pointer = M;
    std::string_view name;
    Caller caller = Caller::server;
    bool serial = false;
    Limit limit{};
    bool restartable = false;

    consteval void set(std::string_view n) { name = n; }
    consteval void set(Caller c) { caller = c; }
    consteval void set(Serial) { serial = true; }
    consteval void set(Restartable) { restartable = true; }
    consteval void set(Limit l) {
        if (l.at_once) limit.at_once = l.at_once;
        if (l.per_second) limit.per_second = l.per_second;
    }
};

/// A coroutine as long-lived as its entity.
template <auto M>
struct Resident {
    static constexpr bool is_field = false, is_method = false, is_resident = true;
    static constexpr auto pointer = M;
    std::string_view name;
};

template <auto M>
    requires std::is_member_object_pointer_v<decltype(M)>
consteval Field<M> field(std::string_view name, Flags flags = transient) {
    return {name, flags};
}
template <auto M>
    requires std::is_member_object_pointer_v<decltype(M)>
consteval Field<M> field(Flags flags = transient) {
    return {detail::member_name<M>(), flags};
}

/// Options, in any order: a name, a Caller, serial, restartable, limit_at_once(n), limit_per_second(n).
template <auto M, class... Options>
    requires std::is_member_function_pointer_v<decltype(M)>
consteval Method<M> method(Options... options) {
    Method<M> made{detail::member_name<M>()};
    (made.set(options), ...);
    return made;
}

/// Runs from on_start until its entity ends; nobody calls it. A reload cancels it and starts that of
/// the new build, so what it must not lose is in fields.
template <auto M>
    requires std::is_member_function_pointer_v<decltype(M)>
consteval Resident<M> resident() {
    using S = signature<M>;
    static_assert(S::arity == 0 && std::is_same_v<typename S::Returned, Task<void>>,
                  "gyre: a resident is a `gyre::Task<> run()` without parameters");
    return {detail::member_name<M>()};
}

/// Picks one of several overloads: method<overload<ItemId>(&Bag::use)>("use").
template <class... P>
struct Overload {
    template <class R, class C>
    consteval auto operator()(R (C::*m)(P...)) const {
        return m;
    }
    template <class R, class C>
    consteval auto operator()(R (C::*m)(P...) const) const {
        return m;
    }
};
template <class... P>
inline constexpr Overload<P...> overload{};

/// What a type says about itself. It inherits its members, so finding one is a cast.
template <class T, class... Members>
struct Description : Members... {
    using Type = T;
    static constexpr std::size_t field_count = (std::size_t{0} + ... + (Members::is_field ? 1 : 0));
    static constexpr std::size_t method_count = (std::size_t{0} + ... + (Members::is_method ? 1 : 0));
    static constexpr std::size_t resident_count = sizeof...(Members) - field_count - method_count;
    std::string_view name;
    bool unique = true;  ///< No two members share a name.

    consteval Description(std::string_view type_name, Members... members)
        : Members(members)..., name(type_name) {
        const std::string_view names[] = {type_name, members.name...};
        for (std::size_t i = 1; i <= sizeof...(Members); ++i)
            for (std::size_t j = i + 1; j <= sizeof...(Members); ++j)
                if (names[i] == names[j]) unique = false;
    }

    /// Calls f with every Field, Method and Resident in described order.
    template <class F>
    constexpr void each(F&& f) const {
        (f(static_cast<const Members&>(*this)), ...);
    }
    template <class F>
    constexpr void each_field(F&& f) const {
        each([&](const auto& member) {
            if constexpr (std::remove_cvref_t<decltype(member)>::is_field) f(member);
        });
    }
    template <class F>
    constexpr void each_method(F&& f) const {
        each([&](const auto& member) {
            if constexpr (std::remove_cvref_t<decltype(member)>::is_method) f(member);
        });
    }
    template <class F>
    constexpr void each_resident(F&& f) const {
        each([&](const auto& member) {
            if constexpr (std::remove_cvref_t<decltype(member)>::is_resident) f(member);
        });
    }
};

/// Goes into `static consteval auto describe()`, defined in the class.
template <class T, class... Members>
consteval Description<T, Members...> type(std::string_view name, Members... members) {
    return {name, members...};
}

/// T describes itself. An inherited describe() does not count: it would lose T's own members.
template <class T>
concept Described = requires { typename decltype(T::describe())::Type; } &&
                    std::is_same_v<typename decltype(T::describe())::Type, T>;

namespace detail {
template <class T>
consteval auto checked_description() {
    static_assert(Described<T>,
                  "gyre: this type needs a public `static consteval auto describe() "
                  "{ return gyre::type<T>(...); }`, defined in the class");
    if constexpr (Described<T>) {
        static_assert(T::describe().unique, "gyre: two members are described under one name");
        return T::describe();
    } else {
        return Description<T>({});  // so that no second error follows the first
    }
}
}  // namespace detail

template <class T>
inline constexpr auto description = detail::checked_description<T>();

/// Member M (field or method) is listed in its class's describe().
template <auto M>
inline constexpr bool is_described = [] {
    using F = std::remove_cv_t<decltype(M)>;
    if constexpr (std::is_member_function_pointer_v<F>)
        return std::is_base_of_v<
            Method<M>, std::remove_cvref_t<decltype(description<typename signature<M>::Class>)>>;
    else
        return std::is_base_of_v<
            Field<M>,
            std::remove_cvref_t<decltype(description<typename detail::MemberOf<F>::Class>)>>;
}();

/// The described Field or Method of M.
template <auto M>
consteval auto described_member() {
    static_assert(is_described<M>, "gyre: this member is not described: list it in describe()");
    if constexpr (!is_described<M>) {
        return Method<M>{};  // so that no second error follows the first
    } else if constexpr (std::is_member_function_pointer_v<std::remove_cv_t<decltype(M)>>) {
        return static_cast<const Method<M>&>(description<typename signature<M>::Class>);
    } else {
        using Class = typename detail::MemberOf<std::remove_cv_t<decltype(M)>>::Class;
        return static_cast<const Field<M>&>(description<Class>);
    }
}
template <auto M>
consteval std::string_view described_name() {
    return described_member<M>().name;
}

/// Identity of a type: the hash of its described name.
template <class T>
inline constexpr std::uint64_t type_id = fnv1a(description<T>.name);

/// Identity of a method: the hash of "Type.method".
constexpr std::uint64_t hash_method(std::string_view type, std::string_view method) {
    return fnv1a(method, fnv1a(".", fnv1a(type)));
}
template <auto M>
inline constexpr std::uint64_t method_id =
    hash_method(description<typename signature<M>::Class>.name, described_name<M>());

}  // namespace gyre
