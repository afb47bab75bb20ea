#pragma once
#include <gyre/codec/fields.hpp>

namespace gyre {

template <class T>
Bytes encode(const T& value, Form form = Form::indexes) {
    Writer writer(form);
    if constexpr (detail::check_value<T>()) Codec<T>::encode(writer, value);
    return writer.take();
}

namespace detail {
template <class T>
consteval std::string_view root_name() {
    if constexpr (Described<T>)
        return description<T>.name;
    else
        return {};
}
}  // namespace detail

/// One whole value in either form; anything after it is an error. Error: bad_data, with the path.
template <class T>
Result<T> decode(BytesView bytes, ReaderOptions options = {}) {
    Reader reader(bytes, options);
    Result<T> result(std::in_place);  // the only one returned, so nothing is moved
    if constexpr (detail::check_value<T>())
        if (!Codec<T>::decode(reader, *result) || !reader.finish()) [[unlikely]]
            result = reader.error(detail::root_name<T>());
    return result;
}

/// The same, refusing unknown field names: for what people write.
template <class T>
Result<T> decode_strict(BytesView bytes, ReaderOptions options = {}) {
    options.strict = true;
    return decode<T>(bytes, options);
}

}  // namespace gyre
