#include <gtest/gtest.h>

#include <gyre/base/code.hpp>
#include <gyre/base/context.hpp>
#include <gyre/base/error.hpp>
#include <gyre/base/hash.hpp>
#include <gyre/base/id.hpp>
#include <gyre/base/id_map.hpp>
#include <gyre/base/result.hpp>
#include <map>
#include <stdexcept>

namespace gyre {
namespace {

TEST(Error, names_code_message_and_place) {
    const Error error("not_enough_items", "item=7");
    EXPECT_EQ(error.code(), "not_enough_items");
    EXPECT_STREQ(error.what(), "not_enough_items: item=7");
    EXPECT_NE(error.where().find("base_test.cpp:"), std::string::npos);
}

TEST(Error, foreign_exceptions_become_internal) {
    const Error error = to_error(std::make_exception_ptr(std::runtime_error("boom")));
    EXPECT_TRUE(error.is(errc::internal));
    EXPECT_EQ(error.message(), "boom");
}

TEST(Result, value_or_error) {
    Result<int> good = 3, bad = Error(errc::conflict, "x");
    EXPECT_EQ(good.value(), 3);
    EXPECT_FALSE(bad);
    EXPECT_TRUE(bad.error().is(errc::conflict));
    EXPECT_THROW(bad.value(), Error);
}

TEST(Hash, is_stable) { EXPECT_EQ(fnv1a("Avatar"), fnv1a("Avatar")); EXPECT_NE(fnv1a("a"), fnv1a("b")); }

TEST(Id, carries_its_zone_and_is_never_null) {
    EXPECT_EQ(make_entity_id(3, 0) >> 54, 3u);
    EXPECT_NE(make_entity_id(0, 0), 0u);
}

TEST(ContextGuard, restores) {
    Context context;
    {
        ContextGuard guard(&context);
        EXPECT_EQ(current, &context);
    }
    EXPECT_EQ(current, nullptr);
}

TEST(IdMap, is_a_map_under_any_order_of_inserts_and_erases) {
    IdMap<int> map;
    std::map<std::uint64_t, int> model;
    std::uint64_t random = 1;
    for (int step = 0; step < 200'000; ++step) {
        random = mix(random + 1);
        const std::uint64_t id = 1 + (random >> 8) % 300;  // few, so that they meet
        if (random % 3 != 0) EXPECT_EQ(map.insert(id, step).second, model.emplace(id, step).second);
        else EXPECT_EQ(map.erase(id), model.erase(id) == 1);
        ASSERT_EQ(map.size(), model.size());
        const std::uint64_t asked = 1 + random % 300;
        const auto found = model.find(asked);
        const int* value = map.find(asked);
        ASSERT_EQ(value != nullptr, found != model.end());
        if (value) ASSERT_EQ(*value, found->second);
    }
    std::size_t seen = 0;
    map.each([&](std::uint64_t id, int value) { seen += model.at(id) == value; });
    EXPECT_EQ(seen, model.size());
}

TEST(Code, only_an_action_that_does_something_keeps_code_loaded) {
    const auto before = detail::code_uses.closures.load();
    const Action nothing;
    EXPECT_EQ(detail::code_uses.closures.load(), before);
    {
        const Action something = [] {};
        const Action copy = something;
        EXPECT_EQ(detail::code_uses.closures.load(), before + 2);
    }
    EXPECT_EQ(detail::code_uses.closures.load(), before);
}

}  // namespace
}  // namespace gyre
