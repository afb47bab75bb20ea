#include "watch.hpp"

#include <gtest/gtest.h>

#include <gyre/module/node_test.hpp>

namespace {

using namespace gyre;

Task<> refuse(std::string item, int price) {
    gyre::log::warn("shop.refused", {{"item", item}, {"price", price}, {"reason", "sold out"}});
    gyre::log::error("shop.burns");
    co_return;
}

TEST(Watch, hears_of_errors_and_counts_warnings) {
    sim::World world;
    auto& machine = world.machine("shop_0", "10.0.0.1");
    cluster::EmbeddedRegistryServer registry(machine.executor());
    const auto store = world.run(machine, store::open(machine, {}));
    module::TestNode node(world, machine, registry, *store, {});
    constexpr const world::TypeTable* types[] = {&world::table<Watch>};
    node.start(types);
    node.run(refuse("sword", 250));
    const auto& watch = node.service<Watch>();
    EXPECT_TRUE(world.run_until([&] { return watch.warnings == 1 && watch.to_chat.size() == 1; }, 1s));
    EXPECT_TRUE(watch.to_chat[0].starts_with("shop_0: shop.burns")) << watch.to_chat[0];
}

}  // namespace
