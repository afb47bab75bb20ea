#include <gyre/base/assert.hpp>
#include <gyre/secure/packets.hpp>

namespace gyre::secure {
namespace {

/// The number nearest to `expected` whose low bits are these.
std::uint64_t whole_number(std::uint64_t expected, std::uint64_t low, unsigned number_bytes) {
    const std::uint64_t range = std::uint64_t{1} << (8 * number_bytes), half = range / 2;
    const std::uint64_t candidate = (expected & ~(range - 1)) | low;
    if (candidate + half <= expected && candidate <= ~std::uint64_t{0} - range) return candidate + range;
    if (candidate > expected + half && candidate >= range) return candidate - range;
    return candidate;
}

Error refused(std::string_view why) { return Error(errc::unauthorized, std::string(why)); }

}  // namespace

PacketSealer::PacketSealer(const Key& key) : key_(key) {}

std::size_t PacketSealer::seal(std::span<std::uint8_t> out, std::size_t head_bytes, unsigned number_bytes, BytesView plain) {
    const std::size_t total = size(head_bytes, number_bytes, plain.size());
    GYRE_ASSERT(number_bytes >= 1 && number_bytes <= 4 && out.size() >= total, "room for the packet");
    for (unsigned i = 0; i < number_bytes; ++i) out[head_bytes + i] = static_cast<std::uint8_t>(number_ >> (8 * i));
    const std::size_t clear = head_bytes + number_bytes;
    if (!aead_) aead_.emplace(key_, Aead::Use::seal);
    aead_->seal(number_, out.first(clear), plain, out.data() + clear);
    if (++number_ % packets_per_key == 0) {
        key_ = next_key(key_);
        aead_.reset();
    }
    return total;
}

PacketOpener::PacketOpener(const Key& key) : key_(key) {}

bool PacketOpener::seen(std::uint64_t number) const {
    return number < next_ && (next_ - number > replay_window || seen_[number % replay_window]);
}

void PacketOpener::mark(std::uint64_t number) {
    if (number >= next_) {
        if (number - next_ >= replay_window) seen_.reset();
        else
            for (std::uint64_t skipped = next_; skipped < number; ++skipped) seen_.reset(skipped % replay_window);
        next_ = number + 1;
    }
    seen_.set(number % replay_window);
}

Result<Packet> PacketOpener::open(std::span<std::uint8_t> packet, std::size_t head_bytes, unsigned number_bytes) {
    const std::size_t clear = head_bytes + number_bytes;
    if (packet.size() < clear + Aead::tag_bytes) return Error(errc::bad_data, "a packet that was cut");
    std::uint64_t low = 0;
    for (unsigned i = 0; i < number_bytes; ++i) low |= std::uint64_t{packet[head_bytes + i]} << (8 * i);
    const std::uint64_t number = whole_number(next_, low, number_bytes);
    if (seen(number)) return refused("a packet that came before, or is too old");
    const std::uint64_t epoch = number / packets_per_key;
    const auto head = packet.first(clear), body = packet.subspan(clear);
    bool good = false;
    if (epoch == epoch_) {
        if (!aead_) aead_.emplace(key_, Aead::Use::open);
        good = aead_->open(number, head, body, body.data());
    } else if (epoch == epoch_ + 1) {
        const Key key = next_key(key_);
        Aead aead(key, Aead::Use::open);
        good = aead.open(number, head, body, body.data());
        if (good) {
            if (!aead_) aead_.emplace(key_, Aead::Use::open);
            before_ = std::exchange(aead_, std::move(aead));
            key_ = key;
            epoch_ = epoch;
        }
    } else if (epoch + 1 == epoch_ && before_) {
        good = before_->open(number, head, body, body.data());
    }
    if (!good) return refused("a packet that the other end did not seal");
    const bool newest = number >= next_;
    mark(number);
    return Packet{number, body.first(body.size() - Aead::tag_bytes), newest};
}

}  // namespace gyre::secure
