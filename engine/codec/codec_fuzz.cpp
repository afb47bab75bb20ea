#include <cstdlib>
#include <gyre/codec/json.hpp>

using namespace gyre;
namespace {
enum class Color : std::uint8_t { red, green, blue };
struct Tree {
    Color color = Color::red;
    std::string name;
    double weight = 0;
    std::optional<std::int16_t> level;
    std::variant<int, std::string, Bytes> choice;
    std::map<std::string, std::vector<int>> notes;
    std::unordered_map<Color, std::uint64_t> counts;
    std::vector<Tree> inside;
    static consteval auto describe() {
        return gyre::type<Tree>("Tree", gyre::field<&Tree::color>(), gyre::field<&Tree::name>(),
                                gyre::field<&Tree::weight>(), gyre::field<&Tree::level>(),
                                gyre::field<&Tree::choice>(), gyre::field<&Tree::notes>(),
                                gyre::field<&Tree::counts>(), gyre::field<&Tree::inside>());
    }
};
}  // namespace

/// What decodes must encode, and decode again to the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const BytesView bytes(data, size);
    (void)msgpack_to_json(bytes);
    if (const auto tree = decode<Tree>(bytes); tree.ok())
        for (const Form form : {Form::indexes, Form::names}) {
            const Bytes again = encode(*tree, form);
            const auto back = decode<Tree>(again);
            if (!back.ok() || encode(*back, form) != again) std::abort();
        }
    if (const auto tree = from_json<Tree>(as_text(bytes)); tree.ok())
        if (!from_json<Tree>(to_json(*tree), {.max_depth = 128}).ok()) std::abort();
    return 0;
}
