#include <gyre/base/assert.hpp>
#include <gyre/secure/records.hpp>

namespace gyre::secure {
namespace {

/// Counts a record; the key follows itself when its share of them is used up.
void count(Key& key, Aead& aead, std::uint64_t& number, Aead::Use use) {
    if (++number < records_per_key) return;
    key = next_key(key);
    aead = Aead(key, use);
    number = 0;
}

}  // namespace

RecordSealer::RecordSealer(const Key& key) : key_(key), aead_(key, Aead::Use::seal) {}

void RecordSealer::seal_in_place(RecordKind kind, Bytes& record) {
    GYRE_ASSERT(record.size() >= record_head_bytes && record.size() <= record_head_bytes + max_record_plain, "one record");
    const std::size_t plain = record.size() - record_head_bytes, sealed = plain + Aead::tag_bytes;
    record.resize(record_head_bytes + sealed);
    std::uint8_t* const head = record.data();
    head[0] = static_cast<std::uint8_t>(sealed);
    head[1] = static_cast<std::uint8_t>(sealed >> 8);
    head[2] = static_cast<std::uint8_t>(sealed >> 16);
    head[3] = static_cast<std::uint8_t>(kind);
    std::uint8_t* const body = head + record_head_bytes;
    aead_.seal(number_, {head, record_head_bytes}, {body, plain}, body);
    count(key_, aead_, number_, Aead::Use::seal);
}

RecordOpener::RecordOpener(const Key& key) : key_(key), aead_(key, Aead::Use::open) {}

Result<std::size_t> RecordOpener::size(BytesView head) const {
    const std::size_t sealed = head[0] | std::size_t{head[1]} << 8 | std::size_t{head[2]} << 16;
    if (head[3] > static_cast<std::uint8_t>(RecordKind::close))
        return Error(errc::bad_data, "record of kind " + std::to_string(head[3]));
    if (sealed < Aead::tag_bytes) return Error(errc::bad_data, "record of " + std::to_string(sealed) + " bytes");
    if (sealed > max_record_plain + Aead::tag_bytes)
        return Error(errc::too_large, "record of " + std::to_string(sealed) + " bytes, limit " +
                                          std::to_string(max_record_plain + Aead::tag_bytes));
    return record_head_bytes + sealed;
}

Result<Record> RecordOpener::open(std::span<std::uint8_t> record) {
    const BytesView head = record.first(record_head_bytes);
    const auto body = record.subspan(record_head_bytes);
    if (broken_ || !aead_.open(number_, head, body, body.data())) {
        broken_ = true;
        return Error(errc::unauthorized, "a record was changed, left out or repeated on the way");
    }
    count(key_, aead_, number_, Aead::Use::open);
    return Record{static_cast<RecordKind>(head[3]), BytesView(body).first(body.size() - Aead::tag_bytes)};
}

}  // namespace gyre::secure
