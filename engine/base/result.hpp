#pragma once
#include <gyre/base/assert.hpp>
#include <gyre/base/error.hpp>
#include <utility>
#include <variant>

namespace gyre {

/// A value or the Error that stands in its place. What reads bytes from outside returns this
/// and never throws.
template <class T = void>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    /// Holds a T() made in place.
    explicit Result(std::in_place_t) : state_(std::in_place_index<0>) {}

    bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    T& operator*() & { return get(); }
    const T& operator*() const& { return const_cast<Result*>(this)->get(); }
    T&& operator*() && { return std::move(get()); }
    T* operator->() { return &get(); }
    const T* operator->() const { return &const_cast<Result*>(this)->get(); }
    /// The value; throws the Error when there is none.
    T& value() & {
        if (!ok()) throw std::get<1>(state_);
        return std::get<0>(state_);
    }
    T value() && { return std::move(value()); }
    const Error& error() const {
        GYRE_ASSERT(!ok(), "error() of a Result that has a value");
        return std::get<1>(state_);
    }

private:
    T& get() {
        GYRE_ASSERT(ok(), "value of a Result that holds an error");
        return std::get<0>(state_);
    }
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    void value() const {
        if (!ok()) throw std::get<1>(state_);
    }
    const Error& error() const {
        GYRE_ASSERT(!ok(), "error() of a Result that has a value");
        return std::get<1>(state_);
    }

private:
    std::variant<std::monostate, Error> state_;
};

}  // namespace gyre
