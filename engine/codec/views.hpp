#pragma once
#include <gyre/codec/fields.hpp>
#include <iterator>

namespace gyre {

template <class T>
struct ViewCodec;

namespace detail {
template <class K, class V>
struct ViewPair {
    using first_type = K;
    using second_type = V;
    K first{};
    V second{};
};

/// What a lazy view begins and ends at: whole encoded values that were checked when it was made.
/// Stepping reads one Step of them.
template <class Step>
class ViewIterator {
public:
    using value_type = Step;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;
    ViewIterator() = default;
    explicit ViewIterator(BytesView left) : left_(left) { read(); }
    const Step& operator*() const { return step_; }
    const Step* operator->() const { return &step_; }
    ViewIterator& operator++() {
        left_ = after_;
        read();
        return *this;
    }
    ViewIterator operator++(int) {
        ViewIterator before = *this;
        ++*this;
        return before;
    }
    bool operator==(const ViewIterator& other) const { return left_.size() == other.left_.size(); }

private:
    void read() {
        if (left_.empty()) return;
        Reader reader(left_);
        const bool ok = ViewCodec<Step>::decode(reader, step_);
        GYRE_ASSERT(ok, "a view was changed beneath");
        after_ = left_.last(reader.left());
    }
    BytesView left_, after_;
    Step step_{};
};

/// Elements within the bytes they came in, read again by each pass over them.
template <class Step>
class LazyView {
public:
    using iterator = ViewIterator<Step>;
    iterator begin() const { return iterator(encoded_); }
    iterator end() const { return iterator(); }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    BytesView encoded() const { return encoded_; }

protected:
    bool read(Reader& reader, std::size_t count) {
        size_ = count;
        const BytesView from = reader.rest();
        for (std::size_t i = 0; i < count; ++i)
            if (!check<Step>(reader, i)) return false;
        encoded_ = from.first(from.size() - reader.left());
        return true;
    }

private:
    template <class T>
    static bool check(Reader& reader, std::size_t index) {
        T value{};
        return ViewCodec<T>::decode(reader, value) || reader.in_element(index);
    }
    template <class T>
        requires requires { typename T::first_type; }
    static bool check(Reader& reader, std::size_t index) {
        T pair{};
        if (!ViewCodec<typename T::first_type>::decode(reader, pair.first))
            return reader.in_element(index);
        if (ViewCodec<typename T::second_type>::decode(reader, pair.second)) return true;
        if constexpr (std::same_as<typename T::first_type, std::string_view>)
            return reader.in_key(pair.first);
        else
            return in_key(reader, pair.first, index);
    }
    BytesView encoded_;
    std::size_t size_ = 0;
};
}  // namespace detail

/// A list, unread until it is walked. Elements may be views themselves.
template <class T>
class ListView : public detail::LazyView<T> {
    friend ViewCodec<ListView>;
};

/// A map as pairs in the order in which they were written; a key may come twice.
template <class K, class V>
class MapView : public detail::LazyView<detail::ViewPair<K, V>> {
    friend ViewCodec<MapView>;
};

/// How a T is read when it may point into the bytes it is read from. What is no view is copied.
template <class T>
struct ViewCodec {
    static bool decode(Reader& r, T& value) {
        if constexpr (detail::check_value<T>()) return Codec<T>::decode(r, value);
        return false;
    }
};
template <>
struct ViewCodec<std::string_view> {
    static bool decode(Reader& r, std::string_view& value) { return r.text(value); }
};
template <>
struct ViewCodec<BytesView> {
    static bool decode(Reader& r, BytesView& value) { return r.bin(value); }
};
template <class T>
struct ViewCodec<std::optional<T>> {
    static bool decode(Reader& r, std::optional<T>& value) {
        value.reset();
        return r.nil() || ViewCodec<T>::decode(r, value.emplace());
    }
};
template <class T>
struct ViewCodec<ListView<T>> {
    static bool decode(Reader& r, ListView<T>& value) {
        std::size_t count = 0;
        return r.array(count) && value.read(r, count);
    }
};
template <class K, class V>
struct ViewCodec<detail::ViewPair<K, V>> {
    static bool decode(Reader& r, detail::ViewPair<K, V>& pair) {
        return ViewCodec<K>::decode(r, pair.first) && ViewCodec<V>::decode(r, pair.second);
    }
};
template <class K, class V>
struct ViewCodec<MapView<K, V>> {
    static bool decode(Reader& r, MapView<K, V>& value) {
        std::size_t pairs = 0;
        return r.map(pairs) && value.read(r, pairs);
    }
};

/// Both forms, as Codec<T> reads them.
template <Described T>
struct ViewCodec<T> {
    static bool decode(Reader& r, T& value) {
        if (!r.enter()) return false;
        const bool ok = r.at_array() ? decode_array(r, value) : decode_map(r, value);
        r.leave();
        return ok;
    }

private:
    template <class F>
    static bool decode_field(Reader& r, T& value, const F& field) {
        return ViewCodec<typename F::Value>::decode(r, value.*F::pointer) || r.in_field(field.name);
    }
    static bool decode_array(Reader& r, T& value) {
        std::size_t left = 0;
        if (!r.array(left)) return false;
        bool ok = true;
        description<T>.each_field([&](const auto& field) {
            if (!ok || left == 0) return;
            --left;
            ok = decode_field(r, value, field);
        });
        for (; ok && left != 0; --left) ok = r.skip();
        return ok;
    }
    static bool decode_map(Reader& r, T& value) {
        std::size_t pairs = 0;
        if (!r.map(pairs)) return false;
        for (; pairs != 0; --pairs) {
            std::string_view name;
            if (!r.text(name)) return false;
            bool known = false, ok = true;
            description<T>.each_field([&](const auto& field) {
                if (known || field.name != name) return;
                known = true;
                ok = decode_field(r, value, field);
            });
            if (!ok) return false;
            if (!known && !r.skip()) return r.in_field(name.substr(0, 64));
        }
        return true;
    }
};

/// One whole value of a described type with std::string_view, BytesView, ListView and MapView among its
/// fields; they point into `bytes`. Allocates nothing but for fields that own. For readers that are done
/// before the bytes go: a view cannot be a parameter or a stored field. Error: bad_data, with the path.
template <Described T>
Result<T> decode_views(BytesView bytes, ReaderOptions options = {}) {
    Reader reader(bytes, options);
    Result<T> result(std::in_place);
    if (!ViewCodec<T>::decode(reader, *result) || !reader.finish()) [[unlikely]]
        result = reader.error(description<T>.name);
    return result;
}

}  // namespace gyre
