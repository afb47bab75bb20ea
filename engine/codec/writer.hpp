#pragma once
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <gyre/base/assert.hpp>
#include <gyre/base/bytes.hpp>
#include <string_view>
#include <type_traits>

namespace gyre {

/// How described structs and enums are written. Reading accepts both.
enum class Form : std::uint8_t {
    indexes,  ///< Structs as arrays in described order, enums as numbers: calls between builds that
              ///< know each other.
    names,    ///< Structs as maps by field name, enums by name: storage, JSON, tools.
};

/// Appends msgpack values to bytes. protocol/msgpack.md says what is written how.
class Writer {
public:
    explicit Writer(Form form = Form::indexes) : out_(&owned_), form_(form) {}
    /// Appends to `out`, which has its final size after finish() or this Writer's end.
    explicit Writer(Bytes& out, Form form = Form::indexes) : out_(&out), form_(form) {
        at_ = end_ = out.data() + out.size();
    }
    ~Writer() { finish(); }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    Form form() const { return form_; }
    void set_form(Form form) { form_ = form; }
    /// With names: what is written of fields described as secret is "(secret)".
    void hide_secrets() { hides_secrets_ = true; }
    bool hides_secrets() const { return hides_secrets_; }
    /// Starts again from nothing, in the memory there is: for a Writer kept for many messages,
    /// read through view(). Only of a Writer that owns its bytes.
    void clear() {
        GYRE_ASSERT(out_ == &owned_, "clear() of a Writer that borrows its bytes");
        at_ = owned_.data();
        end_ = at_ + owned_.size();
    }

    void nil() { byte(0xc0); }
    void boolean(bool value) { byte(value ? 0xc3 : 0xc2); }
    void unsigned_integer(std::uint64_t value) { integer(value); }
    void signed_integer(std::int64_t value) { integer(value); }
    template <std::integral T>
    void integer(T value) {
        at_ = put_integer(room(sizeof(T) + 1), value);
    }
    void number(float value) { at_ = put_number(room(5), value); }
    void number(double value) { at_ = put_number(room(9), value); }
    void text(std::string_view value) {
        at_ = put_text(room(value.size() + 5), value);
    }
    void bin(BytesView value) {
        at_ = put_bin(room(value.size() + 5), value);
    }
    /// The head of an array; its `count` elements are written after it.
    void array(std::size_t count) {
        at_ = put_array(room(5), count);
    }
    /// The head of a map; its `count` pairs of key and value are written after it.
    void map(std::size_t count) {
        at_ = put_map(room(5), count);
    }
    /// Whole values that are msgpack already.
    void encoded(BytesView values) {
        std::uint8_t* p = room(values.size());
        if (!values.empty()) std::memcpy(p, values.data(), values.size());
        at_ = p + values.size();
    }

    /// For several values at one look at the room: up to `most` bytes may be put at the place
    /// returned; written() says where they end.
    std::uint8_t* room(std::size_t most) {
        if (static_cast<std::size_t>(end_ - at_) < most) [[unlikely]]
            grow(most);
        return at_;
    }
    void written(std::uint8_t* end) { at_ = end; }
    /// At most sizeof(T) + 1 bytes.
    template <std::integral T>
    static std::uint8_t* put_integer(std::uint8_t* p, T value) {
        if (value >= 0 && static_cast<std::make_unsigned_t<T>>(value) < 0x80) {
            *p = static_cast<std::uint8_t>(value);
            return p + 1;
        }
        if constexpr (std::is_signed_v<T>)
            if (value < 0) return put_negative(p, value);
        return put_unsigned(p, static_cast<std::make_unsigned_t<T>>(value));
    }
    static std::uint8_t* put_number(std::uint8_t* p, float value) {
        return put(p, 0xca, std::bit_cast<std::uint32_t>(value));
    }
    static std::uint8_t* put_number(std::uint8_t* p, double value) {
        return put(p, 0xcb, std::bit_cast<std::uint64_t>(value));
    }
    static std::uint8_t* put_text(std::uint8_t* p, std::string_view value) {
        const std::size_t n = value.size();
        if (n < 32)
            *p++ = static_cast<std::uint8_t>(0xa0 | n);
        else
            p = put_length(p, 0xd9, n);
        copy(p, value.data(), n);
        return p + n;
    }
    static std::uint8_t* put_bin(std::uint8_t* p, BytesView value) {
        p = put_length(p, 0xc4, value.size());
        if (!value.empty()) std::memcpy(p, value.data(), value.size());
        return p + value.size();
    }
    static std::uint8_t* put_array(std::uint8_t* p, std::size_t count) {
        if (count >= 16) return put_count(p, 0xdc, count);
        *p = static_cast<std::uint8_t>(0x90 | count);
        return p + 1;
    }
    static std::uint8_t* put_map(std::uint8_t* p, std::size_t count) {
        if (count >= 16) return put_count(p, 0xde, count);
        *p = static_cast<std::uint8_t>(0x80 | count);
        return p + 1;
    }

    /// Bytes in the buffer, with what a borrowed one held before.
    std::size_t size() const {
        return end_ ? out_->size() - static_cast<std::size_t>(end_ - at_) : 0;
    }
    BytesView view() const { return {out_->data(), size()}; }
    /// Gives the buffer its final size. Writing may go on.
    void finish() {
        if (at_ == end_) return;
        out_->resize(size());
        at_ = end_ = out_->data() + out_->size();
    }
    /// The bytes of a Writer that owns them; it is empty afterwards.
    Bytes take() {
        GYRE_ASSERT(out_ == &owned_, "take() of a Writer that borrows its bytes");
        finish();
        at_ = end_ = nullptr;
        return std::move(owned_);
    }

private:
    void byte(std::uint8_t value) {
        std::uint8_t* p = room(1);
        *p = value;
        at_ = p + 1;
    }
    /// Names are short: two moves that overlap beat a call of memcpy.
    static void copy(std::uint8_t* to, const char* from, std::size_t n) {
        if (n > 16) {
            std::memcpy(to, from, n);
        } else if (n >= 8) {
            move<8>(to, from);
            move<8>(to + n - 8, from + n - 8);
        } else if (n >= 4) {
            move<4>(to, from);
            move<4>(to + n - 4, from + n - 4);
        } else if (n != 0) {
            to[0] = static_cast<std::uint8_t>(from[0]);
            to[n / 2] = static_cast<std::uint8_t>(from[n / 2]);
            to[n - 1] = static_cast<std::uint8_t>(from[n - 1]);
        }
    }
    template <std::size_t N>
    static void move(std::uint8_t* to, const char* from) {
        std::memcpy(to, from, N);
    }
    template <class U>
    static std::uint8_t* put(std::uint8_t* p, std::uint8_t head, U value) {
        *p = head;
        if constexpr (sizeof(U) == 2) value = __builtin_bswap16(value);
        if constexpr (sizeof(U) == 4) value = __builtin_bswap32(value);
        if constexpr (sizeof(U) == 8) value = __builtin_bswap64(value);
        std::memcpy(p + 1, &value, sizeof(U));
        return p + 1 + sizeof(U);
    }
    template <class T>
    static std::uint8_t* put_unsigned(std::uint8_t* p, T value) {
        if (value <= 0xff) return put(p, 0xcc, static_cast<std::uint8_t>(value));
        if (sizeof(T) <= 2 || value <= 0xffff) return put(p, 0xcd, static_cast<std::uint16_t>(value));
        if (sizeof(T) <= 4 || value <= 0xffff'ffff)
            return put(p, 0xce, static_cast<std::uint32_t>(value));
        return put(p, 0xcf, static_cast<std::uint64_t>(value));
    }
    template <class T>
    static std::uint8_t* put_negative(std::uint8_t* p, T value) {
        if (value >= -32) {
            *p = static_cast<std::uint8_t>(value);
            return p + 1;
        }
        if (sizeof(T) == 1 || value >= INT8_MIN) return put(p, 0xd0, static_cast<std::uint8_t>(value));
        if (sizeof(T) <= 2 || value >= INT16_MIN)
            return put(p, 0xd1, static_cast<std::uint16_t>(value));
        if (sizeof(T) <= 4 || value >= INT32_MIN)
            return put(p, 0xd2, static_cast<std::uint32_t>(value));
        return put(p, 0xd3, static_cast<std::uint64_t>(value));
    }
    void grow(std::size_t n);
    static std::uint8_t* put_length(std::uint8_t* p, std::uint8_t head8, std::size_t n) {
        if (n > 0xff) [[unlikely]]
            return put_long_length(p, head8, n);
        return put(p, head8, static_cast<std::uint8_t>(n));
    }
    static std::uint8_t* put_long_length(std::uint8_t* p, std::uint8_t head8, std::size_t n);
    static std::uint8_t* put_count(std::uint8_t* p, std::uint8_t head16, std::size_t n);

    // out_ is longer than what is written; [at_, end_) is its unused end.
    std::uint8_t* at_ = nullptr;
    std::uint8_t* end_ = nullptr;
    Bytes* out_;
    Bytes owned_;
    Form form_;
    bool hides_secrets_ = false;
};

}  // namespace gyre
