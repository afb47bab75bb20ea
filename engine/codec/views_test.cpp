#include <gtest/gtest.h>

#include <gyre/codec/codec.hpp>
#include <gyre/codec/views.hpp>

using namespace gyre;
namespace {

struct Stack {
    std::string item;
    int count = 0;
    static consteval auto describe() {
        return gyre::type<Stack>("Stack", gyre::field<&Stack::item>(), gyre::field<&Stack::count>());
    }
};
struct Bag {
    std::string owner;
    Bytes seal;
    std::vector<Stack> stacks;
    std::map<std::string, std::vector<int>> notes;
    std::optional<std::string> label;
    std::uint64_t version = 0;
    static consteval auto describe() {
        return gyre::type<Bag>("Bag", gyre::field<&Bag::owner>(), gyre::field<&Bag::seal>(),
                               gyre::field<&Bag::stacks>(), gyre::field<&Bag::notes>(),
                               gyre::field<&Bag::label>(), gyre::field<&Bag::version>());
    }
};
struct StackView {
    std::string_view item;
    int count = 0;
    static consteval auto describe() {
        return gyre::type<StackView>("StackView", gyre::field<&StackView::item>(),
                                     gyre::field<&StackView::count>());
    }
};
struct BagView {
    std::string_view owner;
    BytesView seal;
    ListView<StackView> stacks;
    MapView<std::string_view, ListView<int>> notes;
    std::optional<std::string_view> label;
    std::uint64_t version = 9;
    static consteval auto describe() {
        return gyre::type<BagView>("BagView", gyre::field<&BagView::owner>(),
                                   gyre::field<&BagView::seal>(), gyre::field<&BagView::stacks>(),
                                   gyre::field<&BagView::notes>(), gyre::field<&BagView::label>(),
                                   gyre::field<&BagView::version>());
    }
};

const Bag bag{"Ada", {1, 2}, {{"wood", 70'000}, {"gold", -3}}, {{"a", {1, 300}}, {"b", {}}}, "x", 5};

TEST(Views, point_into_the_bytes_in_both_forms) {
    for (const Form form : {Form::indexes, Form::names}) {
        const Bytes bytes = encode(bag, form);
        const auto view = decode_views<BagView>(bytes);
        ASSERT_TRUE(view.ok()) << view.error().what();
        const auto inside = [&](const void* at) {
            return at >= bytes.data() && at < bytes.data() + bytes.size();
        };
        EXPECT_EQ(view->owner, "Ada");
        EXPECT_TRUE(inside(view->owner.data()) && inside(view->seal.data()));
        EXPECT_EQ(Bytes(view->seal.begin(), view->seal.end()), bag.seal);
        EXPECT_EQ(view->label, "x");
        EXPECT_EQ(view->version, 5u);
        std::string walked;
        for (int pass = 0; pass < 2; ++pass) {
            for (const auto& stack : view->stacks)
                walked += std::string(stack.item) + std::to_string(stack.count) + " ";
            for (const auto& [key, list] : view->notes) {
                walked += std::string(key) + ":";
                for (const int number : list) walked += std::to_string(number) + ",";
            }
            walked += "; ";
        }
        EXPECT_EQ(walked, "wood70000 gold-3 a:1,300,b:; wood70000 gold-3 a:1,300,b:; ");
        EXPECT_EQ(view->stacks.size(), 2u);
        EXPECT_TRUE(view->notes.begin()->second.size() == 2 && !view->notes.empty());
    }
}

TEST(Views, old_and_new_read_each_other) {
    Bytes shorter = encode(std::tuple<std::string>("Ada"));
    EXPECT_EQ(decode_views<BagView>(shorter)->version, 9u);
    const auto longer = encode(std::tuple(std::string("wood"), 1, std::vector<int>{1, 2}));
    EXPECT_EQ(decode_views<StackView>(longer)->item, "wood");
    const auto other = encode(std::map<std::string, int>{{"count", 3}, {"weight", 4}});
    EXPECT_EQ(decode_views<StackView>(other)->count, 3);
}

TEST(Views, errors_have_the_path_and_nothing_is_read_unchecked) {
    const auto wrong = encode(std::tuple(std::string(), Bytes(), std::vector{std::tuple(1, 2)}));
    const auto view = decode_views<BagView>(wrong);
    ASSERT_FALSE(view.ok());
    EXPECT_EQ(view.error().message(), "BagView.stacks[0].item: expected text, found 1");
    const auto value = encode(std::map<std::string, std::map<std::string, std::string>>{{"notes", {{"a", "b"}}}});
    EXPECT_EQ(decode_views<BagView>(value).error().message(),
              "BagView.notes[\"a\"]: expected an array, found text \"b\"");
    const Bytes bytes = encode(bag);
    for (std::size_t n = 0; n < bytes.size(); ++n)
        EXPECT_FALSE(decode_views<BagView>(BytesView(bytes).first(n)).ok()) << n;
    for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
        Bytes flipped = bytes;
        flipped[i / 8] ^= static_cast<std::uint8_t>(1u << i % 8);
        const auto read = decode_views<BagView>(flipped);
        std::size_t walked = 0;
        if (!read.ok()) continue;
        for (const auto& stack : read->stacks) walked += stack.item.size();
        for (const auto& [key, list] : read->notes)
            for (const int number : list) walked += key.size() + (number != 0);
        EXPECT_LE(walked, 2 * bytes.size());
    }
}

}  // namespace
