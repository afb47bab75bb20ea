#include <algorithm>
#include <cstdlib>
#include <gyre/secure/records.hpp>

using namespace gyre;
using namespace gyre::secure;

namespace {

const Key key{[] {
    Seed seed;
    seed.fill(5);
    return seed;
}()};

/// A stream cut into records as a reader does, until it is refused or has too little.
std::size_t read_all(RecordOpener& opener, Bytes stream) {
    std::size_t opened = 0, at = 0;
    while (stream.size() - at >= RecordOpener::head_bytes) {
        const auto size = opener.size(BytesView(stream).subspan(at, RecordOpener::head_bytes));
        if (!size) break;
        if (*size < RecordOpener::head_bytes + Aead::tag_bytes) std::abort();
        if (*size > RecordOpener::head_bytes + max_record_plain + Aead::tag_bytes) std::abort();
        if (*size > stream.size() - at) break;
        const auto record = opener.open({stream.data() + at, *size});
        if (!record) {
            // Broken for good: not even what the other end really sealed opens any more.
            Bytes real(record_head_bytes);
            RecordSealer(key).seal_in_place(RecordKind::data, real);
            if (opener.open(real)) std::abort();
            break;
        }
        if (record->plain.size() != *size - RecordOpener::head_bytes - Aead::tag_bytes) std::abort();
        at += *size;
        ++opened;
    }
    return opened;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
/// First byte: how many records the input is cut into and sealed as by a hostile peer who holds the key; then,
/// when it is odd, a byte of the stream is changed at the place that two more bytes name. 0: the bytes are the stream.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const BytesView bytes{data + 3, size - 3};
    RecordOpener opener(key);
    if (data[0] == 0) {
        (void)read_all(opener, Bytes(bytes.begin(), bytes.end()));
        return 0;
    }
    RecordSealer sealer(key);
    const std::size_t count = data[0] >> 1, piece = std::min(bytes.size() / (count + 1) + 1, max_record_plain);
    Bytes stream;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t begin = std::min(i * piece, bytes.size());
        Bytes record(record_head_bytes);
        append(record, bytes.subspan(begin, std::min(piece, bytes.size() - begin)));
        sealer.seal_in_place(i % 5 == 4 ? RecordKind::close : RecordKind::data, record);
        append(stream, record);
    }
    const bool changed = (data[0] & 1) && !stream.empty();
    if (changed) stream[(data[1] | std::size_t{data[2]} << 8) % stream.size()] ^= 0x40;
    const std::size_t opened = read_all(opener, std::move(stream));
    if (changed ? opened >= count : opened != count) std::abort();
    return 0;
}
