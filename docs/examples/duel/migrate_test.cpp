#include <gtest/gtest.h>

#include <gyre/codec/codec.hpp>
#include <gyre/module/gyre.hpp>

namespace later {

struct Bag : gyre::Component<Bag> {
    std::int64_t coins = 0;  // was: gold
    static void migrate(gyre::Old& old, Bag& now) {
        if (const auto gold = old.get<std::int64_t>("gold")) now.coins = *gold;
    }
    static consteval auto describe() {
        return gyre::type<Bag>("Bag", gyre::field<&Bag::coins>(gyre::persist));
    }
};

TEST(Migrate, a_bag_of_the_former_build_keeps_its_gold) {
    const auto before = gyre::encode(std::map<std::string, std::int64_t>{{"gold", 40}});
    Bag bag;
    gyre::Reader reader(before);
    ASSERT_TRUE(gyre::read_fields(reader, &bag, gyre::fields_of<Bag>(), gyre::Flags::persist,
                                  gyre::world::table<Bag>.migrate));
    EXPECT_EQ(bag.coins, 40);
}

}  // namespace later
