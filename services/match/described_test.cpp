#include <gtest/gtest.h>
#include <gyre/codec/fields.hpp>

#include "services/match/matchmaking.hpp"

namespace gyre::match {
namespace {

template <class T, class Base>
std::string undescribed() {
    const auto whole = check_layout(description<T>.name, sizeof(T), alignof(T), fields_of<T>(), sizeof(Base));
    return whole.ok() ? "" : whole.error().message();
}

// Undescribed bytes would be lost when the code is replaced.
TEST(Described, every_member_of_what_matches_players) {
    EXPECT_EQ((undescribed<Matchmaking, Component<Matchmaking>>()), "");
    EXPECT_EQ((undescribed<Dispatcher, Service<Dispatcher>>()), "");
    EXPECT_EQ((undescribed<Online, Component<Online>>()), "");
}

}  // namespace
}  // namespace gyre::match
