#pragma once
#include <cstddef>
#include <cstdint>
#include <gyre/base/delivery.hpp>
#include <gyre/base/hash.hpp>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

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

/// Of one-way calls of a method between client and node: see Delivery.
struct Lane {
    std::uint8_t number = 0;
};
consteval Lane lane(unsigned number) {
    if (number > 15) throw "gyre: lanes are numbered from 0 to 15";
    return {static_cast<std::uint8_t>(number)};
}

/// What one object takes of calls to a method; the rest end `overloaded`. 0: no limit.
struct Limit {
    std::uint32_t at_once = 0;     ///< In progress.
    std::uint32_t per_second = 0;  ///< Saved up for at most two seconds.
};
consteval Limit limit_at_once(std::uint32_t calls) { return {.at_once = calls}; }
consteval Limit limit_per_second(std::uint32_t calls) { return {.per_second = calls}; }

/// Options of a field that people set, in a configuration. They cost nothing at run time.
template <class A, class B>
struct Range {
    A min;
    B max;
};
struct Unbounded {};
/// What a number, a duration or an optional of those may be, ends included: range(576, 1400),
/// range(10ms, 10s).
template <class A, class B>
consteval Range<A, B> range(A min, B max) {
    return {min, max};
}
template <class A>
consteval Range<A, Unbounded> range_min(A min) {
    return {min, {}};
}
struct Unit {
    std::string_view text;
};
/// What is counted, for people: unit("KiB"). A duration needs none.
consteval Unit unit(std::string_view text) { return {text}; }
struct About {
    std::string_view text;
};
/// One line for people: about("where clients connect").
consteval About about(std::string_view text) { return {text}; }
/// A changed value counts without a restart.
struct Live {};
inline constexpr Live live{};
/// Never shown: in a log, a report or by a command.
struct Secret {};
inline constexpr Secret secret{};

/// The range of a field. Of a duration in the ticks of its own type.
struct Bounds {
    struct End {
        long long whole = 0;
        double real = 0;
        constexpr explicit End() = default;
        template <class V>
        constexpr explicit End(V value)
            : whole(std::is_floating_point_v<V> ? 0 : static_cast<long long>(value)), real(static_cast<double>(value)) {}
    };
    bool has_min = false, has_max = false;
    End min{}, max{};

    constexpr bool any() const { return has_min || has_max; }
    /// Of what cannot have a range, and of an empty optional: true.
    template <class V>
    constexpr bool contains(const V& value) const;
    template <class V>
    constexpr V min_as() const {
        return as<V>(min);
    }
    template <class V>
    constexpr V max_as() const {
        return as<V>(max);
    }

private:
    template <class V>
    static constexpr V as(End end) {
        if constexpr (requires { typename V::period; }) return V(as<typename V::rep>(end));
        else if constexpr (std::is_floating_point_v<V>) return static_cast<V>(end.real);
        else return static_cast<V>(end.whole);
    }
};

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

template <class V>
inline constexpr bool is_duration = requires {
    typename V::rep;
    typename V::period;
};
template <class V>
inline constexpr bool is_optional = requires(const V& value) {
    value.has_value();
    *value;
};
/// What a range of a V is about; void: a V has no range.
template <class V>
consteval auto ranged() {
    if constexpr (is_optional<V>) return ranged<typename V::value_type>();
    else if constexpr (is_duration<V> || (std::is_arithmetic_v<V> && !std::is_same_v<V, bool>))
        return std::type_identity<V>{};
    else return std::type_identity<void>{};
}
template <class V>
using Ranged = typename decltype(ranged<V>())::type;

/// A range may be given in E: a coarser duration; any integer; any number for a number with a point.
template <class V, class E>
inline constexpr bool is_range_of =
    std::is_same_v<E, Unbounded> ||
    (is_duration<V> ? is_duration<E> && std::is_convertible_v<E, V>
                    : std::is_floating_point_v<V> ? std::is_arithmetic_v<E> : std::is_integral_v<E>);

/// The end of a range in the type of the field; `fits` becomes false when that cannot hold it.
template <class V, class End>
consteval Bounds::End to_end(End end, bool& fits) {
    if constexpr (is_duration<V>) {
        return Bounds::End(V(end).count());
    } else {
        if constexpr (std::is_integral_v<V>)
            fits &= std::in_range<V>(end) && std::in_range<long long>(end);
        return Bounds::End(end);
    }
}

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
    Flags flags = transient;
    Bounds bounds{};
    std::string_view unit{}, about{};
    bool live = false, secret = false;
    bool bounds_fit = true;  ///< In the type of the field, and none above the other.

    consteval void set(std::string_view n) { name = n; }
    consteval void set(Flags f) { flags = f; }
    consteval void set(Unit u) { unit = u.text; }
    consteval void set(About a) { about = a.text; }
    consteval void set(Live) { live = true; }
    consteval void set(Secret) { secret = true; }
    template <class A, class B>
    consteval void set(Range<A, B> range) {
        using V = detail::Ranged<Value>;
        constexpr bool has_range = !std::is_void_v<V>;
        static_assert(has_range, "gyre: only numbers and durations have a range");
        if constexpr (has_range) {
            constexpr bool same_kind = detail::is_range_of<V, A> && detail::is_range_of<V, B>;
            static_assert(same_kind, "gyre: the range of a field is given in its type: range(1, 64) of an "
                                     "integer, range(0.5, 2.0) of a number, range(10ms, 5s) of a duration");
            if constexpr (same_kind) {
                bounds.has_min = true;
                bounds.min = detail::to_end<V>(range.min, bounds_fit);
                if constexpr (!std::is_same_v<B, Unbounded>) {
                    bounds.has_max = true;
                    bounds.max = detail::to_end<V>(range.max, bounds_fit);
                    bounds_fit &= bounds.min.whole <= bounds.max.whole && bounds.min.real <= bounds.max.real;
                }
            }
        }
    }
};

template <class V>
constexpr bool Bounds::contains(const V& value) const {
    if constexpr (detail::is_optional<V>) return !value.has_value() || contains(*value);
    else if constexpr (detail::is_duration<V>) return contains(value.count());
    else if constexpr (std::is_floating_point_v<V>)
        // Not a number is in no range.
        return (!has_min || value >= static_cast<V>(min.real)) && (!has_max || value <= static_cast<V>(max.real));
    else if constexpr (std::is_integral_v<V> && !std::is_same_v<V, bool>)
        return (!has_min || std::cmp_greater_equal(value, min.whole)) &&
               (!has_max || std::cmp_less_equal(value, max.whole));
    else return true;
}

template <auto M>
struct Method {
    static constexpr bool is_field = false, is_method = true, is_resident = false;
    static constexpr auto pointer = M;
    std::string_view name;
    Caller caller = Caller::server;
    bool serial = false;
    Limit limit{};
    bool restartable = false;
    bool secret = false;  ///< Its arguments.
    Delivery delivery{};  ///< Of one-way calls between client and node.

    consteval void set(std::string_view n) { name = n; }
    consteval void set(Order o) { delivery.order = o; }
    consteval void set(Care c) { delivery.care = c; }
    consteval void set(Lane l) { delivery.lane = l.number; }
    consteval void set(Caller c) { caller = c; }
    consteval void set(Serial) { serial = true; }
    consteval void set(Restartable) { restartable = true; }
    consteval void set(Secret) { secret = true; }
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

/// Options, in any order: a name, Flags, range(min, max), range_min(min), unit("KiB"), live, secret,
/// about("what for").
template <auto M, class... Options>
    requires std::is_member_object_pointer_v<decltype(M)>
consteval Field<M> field(Options... options) {
    Field<M> made{detail::member_name<M>()};
    (made.set(options), ...);
    return made;
}

/// Options, in any order: a name, a Caller, serial, restartable, secret (its arguments are never logged), limit_at_once(n), limit_per_second(n);
/// and how a one-way call of it travels between client and node: an Order, a Care, lane(n).
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
    bool bounds_fit = true;  ///< Every range fits its field.

    consteval Description(std::string_view type_name, Members... members)
        : Members(members)..., name(type_name) {
        const std::string_view names[] = {type_name, members.name...};
        for (std::size_t i = 1; i <= sizeof...(Members); ++i)
            for (std::size_t j = i + 1; j <= sizeof...(Members); ++j)
                if (names[i] == names[j]) unique = false;
        bounds_fit = (fits(members) & ... & true);
    }

    template <class M>
    static consteval bool fits(const M& member) {
        if constexpr (M::is_field) return member.bounds_fit;
        else return true;
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
        static_assert(T::describe().bounds_fit,
                      "gyre: a range has its ends swapped, or its field cannot hold them");
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
