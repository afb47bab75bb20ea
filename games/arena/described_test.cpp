#include <gtest/gtest.h>
#include <gyre/codec/fields.hpp>

#include "games/arena/match.hpp"

namespace arena {
namespace {

template <class... Cs, class E>
constexpr std::size_t base_bytes(const gyre::Entity<E, Cs...>*) {
    return sizeof(gyre::Entity<E, Cs...>);
}
template <class C>
constexpr std::size_t base_bytes(const gyre::Component<C>*) {
    return sizeof(gyre::Component<C>);
}

template <class T>
std::string undescribed() {
    const auto whole = gyre::check_layout(gyre::description<T>.name, sizeof(T), alignof(T),
                                          gyre::fields_of<T>(), base_bytes(static_cast<T*>(nullptr)));
    return whole.ok() ? "" : whole.error().message();
}

// Undescribed bytes would be lost when the code is replaced.
TEST(Described, every_member_of_the_arena) {
    EXPECT_EQ(undescribed<Avatar>(), "");
    EXPECT_EQ(undescribed<Profile>(), "");
    EXPECT_EQ(undescribed<Bag>(), "");
    EXPECT_EQ(undescribed<Career>(), "");
    EXPECT_EQ(undescribed<Match>(), "");
    EXPECT_FALSE(gyre::check_layout("Match", sizeof(Match), alignof(Match),
                                    gyre::fields_of<Match>().first(4), sizeof(gyre::Entity<Match>))
                     .ok());
}

}  // namespace
}  // namespace arena
