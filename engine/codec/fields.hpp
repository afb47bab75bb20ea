#pragma once
#include <array>
#include <gyre/base/result.hpp>
#include <gyre/codec/containers.hpp>
#include <gyre/codec/describe.hpp>
#include <gyre/codec/layout.hpp>
#include <gyre/codec/old.hpp>
#include <span>

namespace gyre {

/// One described field without its type: plain constants and functions of the module it is in.
struct FieldEntry {
    std::string_view name;
    Flags flags;
    std::size_t size, align;  ///< In memory, bytes.
    std::size_t (*offset)();  ///< In the object, bytes.
    void (*encode)(const void* object, Writer&);
    bool (*decode)(void* object, Reader&);
    std::string_view type;       ///< As C++ spells it, for people.
    std::uint64_t (*layout)();   ///< layout_hash() of its type.
    /// Gives the code of this build to what in the field keeps some, an ecs world; false: nothing
    /// does. Null object: only asks. Null: nothing can.
    bool (*adopt)(void* object);
    bool secret;  ///< See Writer::hide_secrets().
};
inline constexpr Flags all_fields = static_cast<Flags>(0xff);  ///< Mask: also the transient ones.

/// Fields chosen by mask, as a map from name to value in the Writer's form.
void encode_fields(Writer& writer, const void* object, std::span<const FieldEntry> fields,
                   Flags mask);
/// The same back. Names that are unknown or outside the mask are skipped (strict: unknown ones
/// refused), missing ones keep their value. A failure may leave the object half-read: give it a
/// fresh one.
bool decode_fields(Reader& reader, void* object, std::span<const FieldEntry> fields,
                   Flags mask = all_fields);
/// The same for what an older build wrote: a field that does not fit the type it has now is left to
/// `migrate`, which must ask for it. Null: as decode_fields().
bool read_fields(Reader& reader, void* object, std::span<const FieldEntry> fields, Flags mask,
                 Migrate migrate);
/// From whole bytes; `root` begins the path in the error.
Result<> decode_fields(BytesView bytes, void* object, std::span<const FieldEntry> fields,
                       Flags mask = all_fields, std::string_view root = {});

namespace detail {

template <class T>
inline constexpr bool is_pointer_like =
    std::is_pointer_v<T> || requires { typename T::element_type; };

/// One message for each way a value can be wrong; what depends on a failed check is left out, so
/// nothing follows it. Asked when code is made for the type, never inside describe(): recursive
/// types are incomplete there.
template <class T>
consteval bool check_value() {
    constexpr bool no_pointer = !is_pointer_like<T>;
    static_assert(no_pointer, "gyre: this is a pointer; store an Id<> or the value itself");
    if constexpr (no_pointer) {
        static_assert(Serializable<T>,
                      "gyre: this cannot be serialized: give its type a describe(), "
                      "or specialize gyre::Codec for it");
        return Serializable<T>;
    }
    return false;
}
template <class P>
consteval bool check_parameter() {
    constexpr bool by_value = !std::is_reference_v<P>;
    static_assert(by_value,
                  "gyre: a method takes its parameters by value "
                  "(a coroutine outlives what its caller refers to)");
    if constexpr (by_value) return check_value<P>();
    return false;
}
template <class S>
struct CheckSignature;
template <class R, class C, class... P>
struct CheckSignature<Signature<R, C, P...>> {
    static consteval bool check() {
        bool ok = (check_parameter<P>() & ... & true);
        using Got = typename Unwrap<R>::type;
        if constexpr (!std::is_void_v<Got>) ok &= check_value<Got>();
        return ok;
    }
};

template <class T, auto M>
struct FieldOf {
    using Value = typename Field<M>::Value;
    static std::size_t offset() { return offset_of<M>(); }
    static void encode(const void* object, Writer& w) {
        Codec<Value>::encode(w, static_cast<const T*>(object)->*M);
    }
    static bool decode(void* object, Reader& r) {
        return Codec<Value>::decode(r, static_cast<T*>(object)->*M);
    }
    static bool adopt(void* object) {
        if (!holds_code<Value>()) return false;
        if (object) adopt_code(static_cast<T*>(object)->*M);
        return true;
    }
};
template <class T, auto M>
consteval bool (*code_of())(void*) {
    if constexpr (may_hold_code<typename Field<M>::Value>) return &FieldOf<T, M>::adopt;
    return nullptr;
}

template <class T>
consteval auto make_fields() {
    std::array<FieldEntry, std::remove_cvref_t<decltype(description<T>)>::field_count> out{};
    std::size_t i = 0;
    description<T>.each_field([&](const auto& f) {
        using F = std::remove_cvref_t<decltype(f)>;
        using Value = typename F::Value;
        if constexpr (check_value<Value>()) {
            using Of = FieldOf<T, F::pointer>;
            out[i++] = {f.name,      f.flags,     sizeof(Value),      alignof(Value),
                        &Of::offset, &Of::encode, &Of::decode,        type_name<Value>(),
                        &layout_hash<Value>,      code_of<T, F::pointer>(), f.secret};
        }
    });
    return out;
}
template <class T>
inline constexpr auto field_table = make_fields<T>();
}  // namespace detail

/// M's parameters and result can cross a boundary; a readable compile error when not.
template <auto M>
inline constexpr bool check_method = detail::CheckSignature<signature<M>>::check();

template <Described T>
constexpr std::span<const FieldEntry> fields_of() {
    return detail::field_table<T>;
}

/// Form::indexes: array of the fields in described order; names: map by field name. Reading takes
/// both: unknown names and further elements are skipped, missing ones keep their default.
template <Described T>
struct Codec<T> {
    static void encode(Writer& w, const T& value) {
        if (w.form() == Form::names) return encode_fields(w, &value, fields_of<T>(), all_fields);
        // What can tell its size shares one look at the room.
        std::size_t most = 5;
        description<T>.each_field([&](const auto& f) {
            using F = std::remove_cvref_t<decltype(f)>;
            if constexpr (Puttable<typename F::Value>)
                most += detail::most_bytes<typename F::Value>(value.*F::pointer);
        });
        bool putting = true;
        std::uint8_t* at = Writer::put_array(
            w.room(most), std::remove_cvref_t<decltype(description<T>)>::field_count);
        description<T>.each_field([&](const auto& f) {
            using F = std::remove_cvref_t<decltype(f)>;
            using C = Codec<typename F::Value>;
            if constexpr (!detail::check_value<typename F::Value>()) {
                return;
            } else if constexpr (Puttable<typename F::Value>) {
                if (!std::exchange(putting, true)) at = w.room(most);
                at = C::put(at, value.*F::pointer);
            } else {
                if (std::exchange(putting, false)) w.written(at);
                C::encode(w, value.*F::pointer);
            }
        });
        if (putting) w.written(at);
    }
    static bool decode(Reader& r, T& value) {
        if (!r.enter()) return false;
        const bool ok =
            r.at_array() ? decode_array(r, value)
                         : read_fields(r, &value, fields_of<T>(), all_fields, detail::migration_of<T>());
        r.leave();
        return ok;
    }

private:
    static bool decode_array(Reader& r, T& value) {
        std::size_t left = 0;
        if (!r.array(left)) return false;
        bool ok = true;
        description<T>.each_field([&](const auto& f) {
            using F = std::remove_cvref_t<decltype(f)>;
            if (!ok || left == 0) return;
            --left;
            if constexpr (detail::check_value<typename F::Value>())
                ok = Codec<typename F::Value>::decode(r, value.*F::pointer) || r.in_field(f.name);
        });
        for (; ok && left != 0; --left) ok = r.skip();
        return ok;
    }
};

/// Names data members missing from describe(): "Bag: 12 bytes at offset 148 are in no described
/// field". base_bytes: what the object begins with that is not its own. Padding is not missed.
Result<> check_layout(std::string_view type_name, std::size_t size, std::size_t align,
                      std::span<const FieldEntry> fields, std::size_t base_bytes = 0);

}  // namespace gyre
