#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <gyre/base/id.hpp>
#include <gyre/base/time.hpp>
#include <gyre/codec/enums.hpp>
#include <gyre/codec/reader.hpp>
#include <gyre/codec/writer.hpp>
#include <string>
#include <variant>

namespace gyre {

/// How a T is written and read. Specialize for a type of your own that cannot have describe():
///   static void encode(Writer&, const T&);
///   static bool decode(Reader&, T&);   // false after reader.fail(...); may leave T half-read
template <class T>
struct Codec;

template <class T>
concept Serializable =
    std::default_initializable<T> && requires(Writer& w, Reader& r, const T& from, T& to) {
        Codec<T>::encode(w, from);
        { Codec<T>::decode(r, to) } -> std::same_as<bool>;
    };

/// Never more than Codec<T>::max_bytes in Form::indexes, put without a look at the room:
///   static std::uint8_t* put(std::uint8_t* to, T value);   // where it ends
template <class T>
concept FixedSize = requires { Codec<T>::max_bytes; };
/// FixedSize, or Codec<T>::most_bytes(value) says at little cost how many bytes put() may take.
template <class T>
concept Puttable = FixedSize<T> || requires(const T& value) { Codec<T>::most_bytes(value); };

namespace detail {
template <Puttable T>
std::size_t most_bytes(const T& value) {
    if constexpr (FixedSize<T>)
        return Codec<T>::max_bytes;
    else
        return Codec<T>::most_bytes(value);
}
}  // namespace detail

template <>
struct Codec<bool> {
    static constexpr std::size_t max_bytes = 1;
    static std::uint8_t* put(std::uint8_t* to, bool value) {
        *to = value ? 0xc3 : 0xc2;
        return to + 1;
    }
    static void encode(Writer& w, bool value) { w.boolean(value); }
    static bool decode(Reader& r, bool& value) { return r.boolean(value); }
};

template <std::integral T>
struct Codec<T> {
    static constexpr std::size_t max_bytes = sizeof(T) + 1;
    static std::uint8_t* put(std::uint8_t* to, T value) { return Writer::put_integer(to, value); }
    static void encode(Writer& w, T value) { w.integer(value); }
    static bool decode(Reader& r, T& value) { return r.integer(value); }
};

template <class T>
    requires(std::same_as<T, float> || std::same_as<T, double>)
struct Codec<T> {
    static constexpr std::size_t max_bytes = sizeof(T) + 1;
    static std::uint8_t* put(std::uint8_t* to, T value) { return Writer::put_number(to, value); }
    static void encode(Writer& w, T value) { w.number(value); }
    static bool decode(Reader& r, T& value) { return r.number(value); }
};

/// A number, or the name in Form::names. Reading takes both and refuses what has no name, unless
/// EnumTraits says the enum is open.
template <class T>
    requires std::is_enum_v<T>
struct Codec<T> {
    using U = std::underlying_type_t<T>;
    static constexpr std::size_t max_bytes = Codec<U>::max_bytes;
    static std::uint8_t* put(std::uint8_t* to, T value) {
        return Codec<U>::put(to, static_cast<U>(value));
    }
    static void encode(Writer& w, T value) {
        if (w.form() == Form::names)
            if (const auto name = enum_name(value); !name.empty()) return w.text(name);
        Codec<U>::encode(w, static_cast<U>(value));
    }
    static bool decode(Reader& r, T& value) {
        if (r.at_text()) [[unlikely]]
            return decode_name(r, value);
        U number{};
        if (!Codec<U>::decode(r, number)) return false;
        if (!is_enum_value<T>(number)) [[unlikely]]
            return r.unknown_name("value", std::to_string(number), enum_names<T>());
        value = static_cast<T>(number);
        return true;
    }

private:
    static bool decode_name(Reader& r, T& value) {
        std::string_view name;
        if (!r.text(name)) return false;
        if (const auto known = enum_value<T>(name)) {
            value = *known;
            return true;
        }
        if constexpr (detail::EnumTable<T>::open)
            if (r.options().from_json) {  // the number as text: a key of a JSON map
                U number{};
                if (!Reader::from_text(name, number))
                    return r.fail("expected a name or an integer");
                value = static_cast<T>(number);
                return true;
            }
        return r.unknown_name("value", name, enum_names<T>());
    }
};

template <>
struct Codec<std::string> {
    static std::size_t most_bytes(const std::string& value) { return value.size() + 5; }
    static std::uint8_t* put(std::uint8_t* to, const std::string& value) {
        return Writer::put_text(to, value);
    }
    static void encode(Writer& w, const std::string& value) { w.text(value); }
    static bool decode(Reader& r, std::string& value) {
        std::string_view view;
        if (!r.text(view)) return false;
        value.assign(view);
        return true;
    }
};

template <>
struct Codec<Bytes> {
    static std::size_t most_bytes(const Bytes& value) { return value.size() + 5; }
    static std::uint8_t* put(std::uint8_t* to, const Bytes& value) {
        return Writer::put_bin(to, value);
    }
    static void encode(Writer& w, const Bytes& value) { w.bin(value); }
    static bool decode(Reader& r, Bytes& value) { return r.base64(value); }
};

/// Keys, nonces, digests: bin of exactly N bytes.
template <std::size_t N>
struct Codec<std::array<std::uint8_t, N>> {
    static constexpr std::size_t max_bytes = N + 5;
    static std::uint8_t* put(std::uint8_t* to, const std::array<std::uint8_t, N>& value) {
        return Writer::put_bin(to, value);
    }
    static void encode(Writer& w, const std::array<std::uint8_t, N>& value) { w.bin(value); }
    static bool decode(Reader& r, std::array<std::uint8_t, N>& value) {
        if (r.at_text()) [[unlikely]] {  // base64, when it comes from JSON
            Bytes bytes;
            return r.base64(bytes) && take(r, value, bytes);
        }
        BytesView bytes;
        return r.bin(bytes) && take(r, value, bytes);
    }

private:
    static bool take(Reader& r, std::array<std::uint8_t, N>& value, BytesView bytes) {
        if (bytes.size() != N)
            return r.fail("expected binary of " + std::to_string(N) + " bytes, found " +
                          std::to_string(bytes.size()));
        std::copy(bytes.begin(), bytes.end(), value.begin());
        return true;
    }
};

template <>
struct Codec<std::monostate> {
    static void encode(Writer& w, std::monostate) { w.nil(); }
    static bool decode(Reader& r, std::monostate&) { return r.nil() || r.expected("nil"); }
};

template <class E>
struct Codec<Id<E>> {
    static constexpr std::size_t max_bytes = 9;
    static std::uint8_t* put(std::uint8_t* to, Id<E> id) { return Writer::put_integer(to, id.value); }
    static void encode(Writer& w, Id<E> id) { w.unsigned_integer(id.value); }
    static bool decode(Reader& r, Id<E>& id) { return r.integer(id.value); }
};

/// Nanoseconds; what does not fit 64 bits is written as the nearest that does.
template <std::signed_integral Rep, class Period>
struct Codec<std::chrono::duration<Rep, Period>> {
    using D = std::chrono::duration<Rep, Period>;
    static void encode(Writer& w, D value) {
        constexpr auto max = std::chrono::duration_cast<D>(Duration::max());
        constexpr auto min = std::chrono::duration_cast<D>(Duration::min());
        w.signed_integer(value > max   ? Duration::max().count()
                         : value < min ? Duration::min().count()
                                       : std::chrono::duration_cast<Duration>(value).count());
    }
    static bool decode(Reader& r, D& value) {
        std::int64_t ns = 0;
        if (!r.duration_ns(ns)) return false;
        value = std::chrono::duration_cast<D>(Duration(ns));
        return true;
    }
};

/// Nanoseconds since the clock's start.
template <class Clock, class D>
struct Codec<std::chrono::time_point<Clock, D>> {
    using Point = std::chrono::time_point<Clock, D>;
    static void encode(Writer& w, Point value) { Codec<D>::encode(w, value.time_since_epoch()); }
    static bool decode(Reader& r, Point& value) {
        D since{};
        if (!Codec<D>::decode(r, since)) return false;
        value = Point(since);
        return true;
    }
};

}  // namespace gyre
