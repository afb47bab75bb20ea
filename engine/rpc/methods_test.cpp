#include <gtest/gtest.h>

#include <gyre/log/capture.hpp>
#include <gyre/rpc/methods.hpp>
#include <gyre/task/sync.hpp>
#include <gyre/trace/symbols.hpp>
#include <map>
#include <stdexcept>

namespace gyre::rpc {
namespace {

struct Offer {
    std::string item;
    std::int32_t price = 0;
    std::string voucher;
    std::map<std::string, std::string> more;
    static consteval auto describe() {
        return type<Offer>("Offer", field<&Offer::item>(), field<&Offer::price>(), field<&Offer::voucher>(secret), field<&Offer::more>());
    }
};
/// What its parameter begins with may fail.
struct Fragile {
    static inline bool broken = false;
    std::int32_t value = made();
    static std::int32_t made() {
        if (broken) throw std::runtime_error("no room");
        return 0;
    }
    static consteval auto describe() { return type<Fragile>("Fragile", field<&Fragile::value>()); }
};

struct Shop {
    std::vector<int> shelf{1, 2};
    [[gnu::noinline]] int look_at(std::size_t index) { return shelf.at(index); }

    int take(std::uint32_t index, double share) { return static_cast<int>(look_at(index) * share); }
    void sell(Offer offer, std::string to) {
        const Offer gone = std::move(offer);
        const std::string who = std::move(to);
        (void)look_at(100 + gone.item.size() + who.size());
    }
    Task<> sell_later(Offer offer) {
        co_await yield();
        sell(std::move(offer), "later");
    }
    void log_in(std::string name, std::string word) { (void)look_at(100 + name.size() + word.size()); }
    void hold(Fragile fragile) { (void)fragile; }
    void refuse() { throw Error(errc::not_found, "nothing of it"); }
    static consteval auto describe() {
        return type<Shop>("Shop", method<&Shop::take>(), method<&Shop::sell>(), method<&Shop::sell_later>(),
                          method<&Shop::log_in>(secret), method<&Shop::hold>(), method<&Shop::refuse>());
    }
};

class MethodsTest : public testing::Test, Responder::Sink {
protected:
    MethodsTest() { trace::index(); }
    ~MethodsTest() override {
        Scope closer(executor, "closer");
        (void)go(closer, scope.close());
        run();
    }
    void run() {
        while (!executor.idle()) executor.turn(executor.now());
    }
    void fail(std::uint64_t, const Error& error) override { heard = error.what(); }
    Writer& begin_result(std::uint64_t) override {
        result.clear();
        return result;
    }
    void end_result(std::uint64_t) override { heard = "ok"; }

    /// What the caller hears.
    template <auto M, class... A>
    std::string call(const A&... arguments) {
        heard = "nothing";
        const Bytes bytes = encode(std::tuple<A...>(arguments...));
        for (const auto& method : methods_of<Shop>()) {
            if (method.id != method_id<M>) continue;
            Callee callee;
            callee.object = &shop;
            callee.method = &method;
            callee.scope = &scope;
            IncomingCall incoming;
            incoming.arguments = bytes;
            run_call(callee, incoming, Responder(*this, 1));
        }
        run();
        return heard;
    }
    /// Of the last failure that was logged.
    std::string told() const {
        const auto lines = log.lines();
        return lines.empty() ? "" : lines.back().event + " " + lines.back().fields;
    }
    std::string arguments() const {
        const auto json = log.lines().empty() ? "" : log.lines().back().json;
        const auto at = json.find("\"arguments\":");
        return at == json.npos ? "none in " + json : json.substr(at + 12, json.find(",\"error\"", at) - at - 12);
    }
    Executor executor;
    Scope scope{executor, "test"};
    Writer result;
    std::string heard;
    Shop shop;
    log::Capture log{log::Level::warn};
};
bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }
Offer offer(std::string item, std::map<std::string, std::string> more = {}) {
    Offer made;
    made.item = std::move(item);
    made.price = 12;
    made.voucher = "hidden-voucher";
    made.more = std::move(more);
    return made;
}

TEST_F(MethodsTest, the_caller_hears_internal_and_the_log_has_all) {
    EXPECT_EQ(call<&Shop::take>(7u, 0.5), "internal: Shop.take");
    EXPECT_TRUE(has(told(), "rpc.method_failed")) << told();
    EXPECT_TRUE(has(told(), "method=Shop.take")) << told();
    EXPECT_TRUE(has(told(), "type=std::out_of_range")) << told();
    EXPECT_TRUE(has(told(), "look_at")) << told();
    EXPECT_TRUE(has(told(), "engine/rpc/methods_test.cpp:")) << told();
    EXPECT_EQ(arguments(), "\"[7,0.5]\"");
}

TEST_F(MethodsTest, arguments_are_told_though_the_method_took_them) {
    EXPECT_EQ(call<&Shop::sell>(offer("a \"sword\""), std::string("bob")), "internal: Shop.sell");
    EXPECT_TRUE(has(told(), "sword")) << told();
    EXPECT_TRUE(has(told(), "price")) << told();
    EXPECT_TRUE(has(told(), "bob")) << told();
    EXPECT_EQ(call<&Shop::sell_later>(offer("shield")), "internal: Shop.sell_later");
    EXPECT_TRUE(has(told(), "shield")) << told();
}

TEST_F(MethodsTest, secrets_are_not_told) {
    (void)call<&Shop::sell>(offer("x"), std::string("bob"));
    EXPECT_TRUE(has(told(), "(secret)")) << told();
    EXPECT_FALSE(has(told(), "hidden-voucher")) << told();
    (void)call<&Shop::log_in>(std::string("bob"), std::string("hidden-word"));
    EXPECT_EQ(arguments(), "\"(secret)\"");
    EXPECT_FALSE(has(told(), "bob")) << told();
}

TEST_F(MethodsTest, no_text_makes_a_secret_visible) {
    for (const std::string around : {"", "\"", "\\\"", "\":", "a\":\"b", "{\"", "\\", "}", "],", "\n"}) {
        (void)call<&Shop::sell>(offer("item" + around, {{"a" + around, "visible" + around},
                                                      {"b", around + "\",\"password\":\"" + around},
                                                      {"password", around + "hidden-1" + around},
                                                      {"session_token", "hidden-2" + around},
                                                      {"z", "mongodb://bob:hidden-3@host" }}), "to" + around);
        EXPECT_TRUE(has(told(), "visible")) << told();
        EXPECT_TRUE(has(told(), "session_token")) << told();
        EXPECT_FALSE(has(told(), "hidden")) << told();
    }
}

TEST_F(MethodsTest, arguments_that_are_too_large_say_so) {
    (void)call<&Shop::sell>(offer(std::string(2'000, 'x')), std::string("bob"));
    EXPECT_TRUE(has(arguments(), "more than 1024 bytes")) << arguments();
}

TEST_F(MethodsTest, a_parameter_that_cannot_be_made_is_answered) {
    Fragile fragile;
    Fragile::broken = true;
    EXPECT_EQ(call<&Shop::hold>(fragile), "internal: Shop.hold");
    Fragile::broken = false;
    EXPECT_EQ(arguments(), "\"not read\"");
    EXPECT_EQ(call<&Shop::hold>(fragile), "ok");
}

TEST_F(MethodsTest, an_error_is_for_its_caller_alone) {
    EXPECT_EQ(call<&Shop::refuse>(), "not_found: nothing of it");
    EXPECT_TRUE(log.lines().empty()) << told();
}

}  // namespace
}  // namespace gyre::rpc
