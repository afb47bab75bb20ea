#include <algorithm>
#include <gyre/codec/writer.hpp>

namespace gyre {

void Writer::grow(std::size_t n) {
    const std::size_t used = size();
    out_->resize(used + std::max({n, used, std::size_t{128}}));
    at_ = out_->data() + used;
    end_ = out_->data() + out_->size();
}

std::uint8_t* Writer::put_long_length(std::uint8_t* p, std::uint8_t head8, std::size_t n) {
    GYRE_ASSERT(n <= 0xffff'ffff, "a text or binary of 4 GiB or more");
    const auto wider = [head8](int step) { return static_cast<std::uint8_t>(head8 + step); };
    if (n <= 0xffff) return put(p, wider(1), static_cast<std::uint16_t>(n));
    return put(p, wider(2), static_cast<std::uint32_t>(n));
}

std::uint8_t* Writer::put_count(std::uint8_t* p, std::uint8_t head16, std::size_t n) {
    GYRE_ASSERT(n <= 0xffff'ffff, "an array or map of 2^32 elements or more");
    if (n <= 0xffff) return put(p, head16, static_cast<std::uint16_t>(n));
    return put(p, static_cast<std::uint8_t>(head16 + 1), static_cast<std::uint32_t>(n));
}

}  // namespace gyre
