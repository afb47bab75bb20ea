#pragma once
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gyre {

/// Which values of an enum are looked at for names. Specialize for enumerators beyond [0, 63], or
/// with open = true for an enum that may hold any value of its underlying type (bit sets, table
/// keys). An enum without named values in the range is open.
template <class E>
struct EnumTraits {
    static constexpr int min = 0;
    static constexpr int max = 63;
    static constexpr bool open = false;
};

namespace detail {

template <class E, E... V>
consteval std::string_view enum_pack() {
    return __PRETTY_FUNCTION__;  // "... [E = Color, V = <Color::red, (Color)1>]"
}

/// Fills names[i] with the i-th enumerator of the pack's text; empty for a value without a name.
consteval void split_enum_pack(std::string_view text, std::span<std::string_view> names) {
    text = text.substr(text.find("V = <") + 5);
    std::size_t start = 0, index = 0;
    int nested = 0;
    for (std::size_t i = 0; index < names.size(); ++i) {
        const char c = text[i];
        if (nested == 0 && (c == ',' || c == '>')) {
            std::string_view one = text.substr(start, i - start);
            one = one.substr(one.find_last_of(" :)") + 1);
            const bool number = one.empty() || one[0] == '-' || (one[0] >= '0' && one[0] <= '9');
            names[index++] = number ? std::string_view{} : one;
            start = i + 1;
        } else if (c == '<' || c == '(') {
            ++nested;
        } else if (c == '>' || c == ')') {
            --nested;
        }
    }
}

template <class E>
struct EnumTable {
    static_assert(
        !std::is_convertible_v<E, std::underlying_type_t<E>> || requires { E{0}; },
        "gyre: give this enum an underlying type (enum X : std::uint8_t)");
    using U = std::underlying_type_t<E>;
    static constexpr long long min =
        EnumTraits<E>::min < 0 && std::is_unsigned_v<U> ? 0 : EnumTraits<E>::min;
    static constexpr long long max = std::in_range<U>(EnumTraits<E>::max)
                                         ? EnumTraits<E>::max
                                         : static_cast<long long>(std::numeric_limits<U>::max());
    static constexpr std::size_t size = static_cast<std::size_t>(max - min + 1);
    static_assert(size <= 4096, "gyre: EnumTraits range is wider than 4096");

    static constexpr auto names = []<std::size_t... I>(std::index_sequence<I...>) {
        std::array<std::string_view, size> out{};
        split_enum_pack(enum_pack<E, static_cast<E>(min + static_cast<long long>(I))...>(), out);
        return out;
    }(std::make_index_sequence<size>());

    static constexpr std::size_t named = [] {
        std::size_t n = 0;
        for (const auto name : names) n += name.empty() ? 0 : 1;
        return n;
    }();
    static constexpr bool open = EnumTraits<E>::open || named == 0;

    static constexpr std::size_t index_of(U value) {
        if (std::cmp_less(value, min) || std::cmp_greater(value, max)) return size;
        return static_cast<std::size_t>(static_cast<long long>(value) - min);
    }
};
}  // namespace detail

/// The enumerator's name, empty when the value has none.
template <class E>
    requires std::is_enum_v<E>
constexpr std::string_view enum_name(E value) {
    using Table = detail::EnumTable<E>;
    const std::size_t i = Table::index_of(static_cast<std::underlying_type_t<E>>(value));
    return i < Table::size ? Table::names[i] : std::string_view{};
}

template <class E>
    requires std::is_enum_v<E>
constexpr std::optional<E> enum_value(std::string_view name) {
    using Table = detail::EnumTable<E>;
    for (std::size_t i = 0; i < Table::size && !name.empty(); ++i)
        if (Table::names[i] == name) return static_cast<E>(Table::min + static_cast<long long>(i));
    return std::nullopt;
}

/// A value that may be stored and sent: named, or any when the enum is open.
template <class E>
    requires std::is_enum_v<E>
constexpr bool is_enum_value(std::underlying_type_t<E> value) {
    return detail::EnumTable<E>::open || !enum_name(static_cast<E>(value)).empty();
}

/// Names by (value - EnumTraits::min); empty where a value has none.
template <class E>
    requires std::is_enum_v<E>
constexpr std::span<const std::string_view> enum_names() {
    return detail::EnumTable<E>::names;
}

}  // namespace gyre
