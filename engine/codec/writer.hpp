#pragma once
#include <bit>
#include <concepts>
#include <cstring>
#include <gyre/base/assert.hpp>
#include <gyre/base/bytes.hpp>
#include <string_view>

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
    /// Starts again from nothing, in the memory there is: for a Writer kept for many messages,
    /// read through view(). Only of a Writer that owns its bytes.
    void clear() {
        GYRE_ASSERT(out_ == &owned_, "clear() of a Writer that borrows its bytes");
        at_ = owned_.data();
        end_ = at_ + owned_.size();
    }

    void nil() { byte(0xc0); }
    void boolean(bool value) { byte(value ? 0xc3 : 0xc2); }
    void unsigned_integer(std::uint64_t value) {
        std::uint8_t* p = room(9);
        if (value < 0x80) {
            *p = static_cast<std::uint8_t>(value);
            at_ = p + 1;
        } else {
            at_ = put_unsigned(p, value);
        }
    }
    void signed_integer(std::int64_t value) {
        if (value >= 0) return unsigned_integer(static_cast<std::uint64_t>(value));
        std::uint8_t* p = room(9);
        if (value >= -32) {
            *p = static_cast<std::uint8_t>(value);
            at_ = p + 1;
        } else {
            at_ = put_negative(p, value);
        }
    }
    template <std::integral T>
    void integer(T value) {
        if constexpr (std::is_signed_v<T>)
            signed_integer(value);
        else
            unsigned_integer(value);
    }
    void number(float value) { at_ = put(room(5), 0xca, std::bit_cast<std::uint32_t>(value)); }
    void number(double value) { at_ = put(room(9), 0xcb, std::bit_cast<std::uint64_t>(value)); }
    void text(std::string_view value) {
        const std::size_t n = value.size();
        std::uint8_t* p = room(n + 5);
        if (n < 32)
            *p++ = static_cast<std::uint8_t>(0xa0 | n);
        else
            p = put_length(p, 0xd9, n);
        if (n != 0) std::memcpy(p, value.data(), n);
        at_ = p + n;
    }
    void bin(BytesView value) {
        std::uint8_t* p = put_length(room(value.size() + 5), 0xc4, value.size());
        if (!value.empty()) std::memcpy(p, value.data(), value.size());
        at_ = p + value.size();
    }
    /// The head of an array; its `count` elements are written after it.
    void array(std::size_t count) {
        if (count < 16)
            byte(static_cast<std::uint8_t>(0x90 | count));
        else
            at_ = put_count(room(5), 0xdc, count);
    }
    /// The head of a map; its `count` pairs of key and value are written after it.
    void map(std::size_t count) {
        if (count < 16)
            byte(static_cast<std::uint8_t>(0x80 | count));
        else
            at_ = put_count(room(5), 0xde, count);
    }
    /// Whole values that are msgpack already.
    void encoded(BytesView values) {
        std::uint8_t* p = room(values.size());
        if (!values.empty()) std::memcpy(p, values.data(), values.size());
        at_ = p + values.size();
    }

    /// Bytes in the buffer, with what a borrowed one held before.
    std::size_t size() const {
        return end_ ? out_->size() - static_cast<std::size_t>(end_ - at_) : 0;
    }
    BytesView view() const { return {out_->data(), size()}; }
    /// Gives the buffer its final size. Writing may go on.
    void finish() {
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
    std::uint8_t* room(std::size_t n) {
        if (static_cast<std::size_t>(end_ - at_) < n) [[unlikely]]
            grow(n);
        return at_;
    }
    void byte(std::uint8_t value) {
        std::uint8_t* p = room(1);
        *p = value;
        at_ = p + 1;
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
    void grow(std::size_t n);
    static std::uint8_t* put_unsigned(std::uint8_t* p, std::uint64_t value);
    static std::uint8_t* put_negative(std::uint8_t* p, std::int64_t value);
    static std::uint8_t* put_length(std::uint8_t* p, std::uint8_t head8, std::size_t n);
    static std::uint8_t* put_count(std::uint8_t* p, std::uint8_t head16, std::size_t n);

    // out_ is longer than what is written; [at_, end_) is its unused end.
    std::uint8_t* at_ = nullptr;
    std::uint8_t* end_ = nullptr;
    Bytes* out_;
    Bytes owned_;
    Form form_;
};

}  // namespace gyre
