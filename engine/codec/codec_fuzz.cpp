#include <cstdlib>
#include <gyre/codec/json.hpp>
#include <gyre/codec/views.hpp>

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
/// Every other type there is, and one that owns beside one that does not.
struct Leaf {
    std::string text;
    Bytes bytes;
    std::vector<std::int32_t> numbers;
    std::map<std::string, std::uint8_t> counts;
    std::optional<float> ratio;
    std::pair<Color, bool> pair;
    std::array<std::uint8_t, 4> key{};
    std::tuple<std::int64_t, Duration, Id<Tree>> when;
    static consteval auto describe() {
        return gyre::type<Leaf>("Leaf", gyre::field<&Leaf::text>(), gyre::field<&Leaf::bytes>(),
                                gyre::field<&Leaf::numbers>(), gyre::field<&Leaf::counts>(),
                                gyre::field<&Leaf::ratio>(), gyre::field<&Leaf::pair>(),
                                gyre::field<&Leaf::key>(), gyre::field<&Leaf::when>());
    }
};
struct LeafView {
    std::string_view text;
    BytesView bytes;
    ListView<std::int32_t> numbers;
    MapView<std::string_view, std::uint8_t> counts;
    std::optional<float> ratio;
    std::pair<Color, bool> pair;
    std::array<std::uint8_t, 4> key{};
    std::tuple<std::int64_t, Duration, Id<Tree>> when;
    static consteval auto describe() {
        using L = LeafView;
        return gyre::type<L>("Leaf", gyre::field<&L::text>(), gyre::field<&L::bytes>(),
                             gyre::field<&L::numbers>(), gyre::field<&L::counts>(),
                             gyre::field<&L::ratio>(), gyre::field<&L::pair>(),
                             gyre::field<&L::key>(), gyre::field<&L::when>());
    }
};

void check(bool holds) {
    if (!holds) std::abort();
}

/// What decodes must encode, and decode again to the same bytes; also through JSON.
template <class T>
void round_trip(BytesView bytes) {
    const auto value = decode<T>(bytes);
    if (!value.ok()) return check(!value.error().message().empty());
    for (const Form form : {Form::indexes, Form::names}) {
        const Bytes again = encode(*value, form);
        const auto back = decode<T>(again);
        check(back.ok() && encode(*back, form) == again);
        const auto strict = decode_strict<T>(again);
        check(strict.ok());
        for (std::size_t cut = 1; cut < again.size(); cut = cut * 2 + 1)
            check(!decode<T>(BytesView(again).first(again.size() - cut)).ok());
        (void)decode<T>(again, {.depth = 2, .nodes = 5, .bytes = 300});
    }
    const auto from = from_json<T>(to_json(*value), {.max_depth = 128});
    check(from.ok() || to_json(*value).find("\xef\xbf\xbd") != std::string::npos);
}

/// A view accepts what the type that owns accepts, and sees the same.
void views(BytesView bytes) {
    const auto leaf = decode<Leaf>(bytes);
    const auto view = decode_views<LeafView>(bytes);
    check(leaf.ok() == view.ok());
    if (!leaf.ok()) return check(leaf.error().message() == view.error().message());
    check(view->text == leaf->text && std::ranges::equal(view->bytes, leaf->bytes));
    check(std::ranges::equal(view->numbers, leaf->numbers) && view->key == leaf->key);
    std::map<std::string, std::uint8_t> counts;
    for (const auto& [key, count] : view->counts) counts[std::string(key)] = count;
    check(counts == leaf->counts && view->when == leaf->when && view->pair == leaf->pair);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const BytesView bytes(data, size);
    round_trip<Tree>(bytes);
    round_trip<Leaf>(bytes);
    views(bytes);
    if (const auto json = msgpack_to_json(bytes); json.ok()) {
        const auto back = json_to_msgpack(*json, {.max_depth = 1 << 20});
        check(back.ok());
        const auto again = msgpack_to_json(*back);
        check(again.ok());
    }
    if (const auto tree = from_json<Tree>(as_text(bytes)); tree.ok())
        check(from_json<Tree>(to_json(*tree), {.max_depth = 128}).ok());
    (void)from_json<Leaf>(as_text(bytes), {.comments = true, .trailing_commas = true});
    return 0;
}
