#include <gtest/gtest.h>

#include <gyre/codec/codec.hpp>
#include <cmath>
#include <random>

namespace gyre {
template <class T = void>
class Task;
}
using namespace gyre;

namespace codec_test {
enum class ItemKey : std::uint32_t {};
struct Bag {
    std::vector<std::uint16_t> stacks;
    std::int64_t gold = 0;
    int cache_ = 0;
    Task<std::string> take(ItemKey, std::uint16_t) const;
    int worth() noexcept { return 1; }
    void use(int) {}
    void use(std::string) {}
    static consteval auto describe() {
        return gyre::type<Bag>("Bag", gyre::field<&Bag::stacks>(gyre::persist | gyre::to_owner),
                               gyre::field<&Bag::gold>("coins", gyre::persist),
                               gyre::field<&Bag::cache_>(),
                               gyre::method<&Bag::take>(gyre::Caller::owner, gyre::serial),
                               gyre::method<&Bag::worth>(),
                               gyre::method<gyre::overload<int>(&Bag::use)>("use_number"));
    }
};
enum class Tier : std::uint16_t { bronze = 100, gold = 300 };
enum class Bits : std::uint8_t { a = 1, b = 2 };
}  // namespace codec_test
template <>
struct gyre::EnumTraits<codec_test::Tier> {
    static constexpr int min = 100, max = 300;
    static constexpr bool open = false;
};
template <>
struct gyre::EnumTraits<codec_test::Bits> {
    static constexpr int min = 0, max = 7;
    static constexpr bool open = true;
};
using namespace codec_test;

namespace {

struct Options {
    std::uint16_t port = 1;
    std::chrono::milliseconds wait{};
    double share = 0;
    std::optional<int> most;
    std::uint64_t big = 0;
    std::string key;
    static consteval auto describe() {
        using O = Options;
        return gyre::type<O>(
            "Options", field<&O::port>(about("where"), range(1, 65'535), live, persist, "gate_port"),
            field<&O::wait>(range(10ms, 1min)), field<&O::share>(unit("of all"), range(0, 0.5)),
            field<&O::most>(range_min(-2)), field<&O::big>(range_min(8)), field<&O::key>(secret));
    }
};

enum class Color : std::uint8_t { red, green = 3, blue };

struct Gem {
    std::string color;
    std::uint8_t level = 1;
    std::vector<Gem> inside = {};
    bool operator==(const Gem&) const = default;
    static consteval auto describe() {
        return gyre::type<Gem>("Gem", gyre::field<&Gem::color>(), gyre::field<&Gem::level>(),
                               gyre::field<&Gem::inside>());
    }
};

struct Player;  // never complete: an Id does not need it

struct Everything {
    bool flag = false;
    std::int8_t i8 = 0;
    std::uint64_t u64 = 0;
    std::int64_t i64 = 0;
    float f = 0;
    double d = 0;
    Color color = Color::red;
    ItemKey key{};
    std::string text;
    Bytes bin;
    std::array<std::uint8_t, 4> digest{};
    std::array<int, 3> three{};
    std::vector<bool> bits;
    std::optional<Gem> gem;
    std::variant<int, std::string, Gem> choice;
    std::map<Color, int> by_color;
    std::unordered_map<std::string, std::vector<int>> notes;
    std::set<std::string> names;
    std::unordered_set<std::int32_t> numbers;
    std::pair<int, std::string> pair;
    std::tuple<int, double, bool> tuple;
    Id<Player> player;
    EntityId entity = 0;
    std::chrono::milliseconds wait{};
    TimePoint when{};
    WallTime wall{};
    std::monostate nothing;
    bool operator==(const Everything&) const = default;
    static consteval auto describe() {
        using E = Everything;
        return gyre::type<E>(
            "Everything", gyre::field<&E::flag>(), gyre::field<&E::i8>(), gyre::field<&E::u64>(),
            gyre::field<&E::i64>(), gyre::field<&E::f>(), gyre::field<&E::d>(),
            gyre::field<&E::color>(), gyre::field<&E::key>(), gyre::field<&E::text>(),
            gyre::field<&E::bin>(), gyre::field<&E::digest>(), gyre::field<&E::three>(),
            gyre::field<&E::bits>(), gyre::field<&E::gem>(), gyre::field<&E::choice>(),
            gyre::field<&E::by_color>(), gyre::field<&E::notes>(), gyre::field<&E::names>(),
            gyre::field<&E::numbers>(), gyre::field<&E::pair>(), gyre::field<&E::tuple>(),
            gyre::field<&E::player>(), gyre::field<&E::entity>(), gyre::field<&E::wait>(),
            gyre::field<&E::when>(), gyre::field<&E::wall>(), gyre::field<&E::nothing>());
    }
};

Everything sample() {
    Everything e;
    e.flag = true;
    e.i8 = -128;
    e.u64 = ~0ull;
    e.i64 = std::numeric_limits<std::int64_t>::min();
    e.f = -1.5f;
    e.d = 1e300;
    e.color = Color::blue;
    e.key = static_cast<ItemKey>(4'000'000'000u);
    e.text = std::string(300, 'x');
    e.bin = {0, 1, 255};
    e.digest = {1, 2, 3, 4};
    e.three = {-1, 0, 70'000};
    e.bits = {true, false, true};
    e.gem = Gem{"red", 2, {Gem{"blue", 3, {}}}};
    e.choice = Gem{"green", 9, {}};
    e.by_color = {{Color::green, 1}, {Color::red, -1}};
    e.notes = {{"a", {1, 2}}, {"b", {}}, {"zz", {300}}};
    e.names = {"x", "y"};
    e.numbers = {5, -5, 1000};
    e.pair = {1, "one"};
    e.tuple = {1, 2.5, true};
    e.player = {make_entity_id(3, 12345)};
    e.entity = 77;
    e.wait = 1500ms;
    e.when = TimePoint(1h);
    e.wall = WallTime(std::chrono::nanoseconds(1'700'000'000'123'456'789));
    return e;
}

/// Two builds of one type: the later one has more fields and another order of names.
struct Old {
    int a = 1;
    std::string b = "old";
    static consteval auto describe() {
        return gyre::type<Old>("Thing", gyre::field<&Old::a>(), gyre::field<&Old::b>());
    }
};
struct New {
    int a = 1;
    std::string b = "new";
    std::vector<int> c = {7};
    static consteval auto describe() {
        return gyre::type<New>("Thing", gyre::field<&New::a>(), gyre::field<&New::b>(),
                               gyre::field<&New::c>());
    }
};

struct Undescribed : Bag {};

Bytes raw(std::initializer_list<int> bytes) {
    Bytes out;
    for (const int b : bytes) out.push_back(static_cast<std::uint8_t>(b));
    return out;
}
template <class T>
std::string failure(const Bytes& bytes) {
    const auto result = decode<T>(bytes);
    if (result.ok()) return "ok";
    EXPECT_TRUE(result.error().is(errc::bad_data));
    return result.error().message();
}

// --- describe ---
static_assert(described_name<&Bag::gold>() == "coins" && described_name<&Bag::take>() == "take");
static_assert(described_member<&Bag::take>().caller == Caller::owner);
static_assert(described_member<&Bag::take>().serial && !described_member<&Bag::worth>().serial);
static_assert(described_member<&Bag::worth>().caller == Caller::server);
static_assert(std::is_same_v<signature<&Bag::take>::Result, std::string>);
static_assert(
    std::is_same_v<signature<&Bag::take>::Parameters, std::tuple<ItemKey, std::uint16_t>>);
static_assert(signature<&Bag::take>::arity == 2 && signature<&Bag::take>::by_value);
static_assert(is_described<&Bag::gold> && !is_described<overload<std::string>(&Bag::use)>);
static_assert(method_id<&Bag::take> == fnv1a("Bag.take") && type_id<Bag> == fnv1a("Bag"));
static_assert(method_id<overload<int>(&Bag::use)> == hash_method("Bag", "use_number"));
static_assert(Described<Bag> && !Described<Undescribed> && !Described<int>);
static_assert(check_method<&Bag::take>);
static_assert(Serializable<Everything> && Serializable<std::optional<Gem>>);
static_assert(!Serializable<int*> && !Serializable<Player*> && !Serializable<std::string_view>);
static_assert(enum_name(Color::green) == "green" && enum_name(static_cast<Color>(1)).empty());
static_assert(enum_value<Color>("blue") == Color::blue && !enum_value<Color>("purple"));

TEST(Describe, fields_carry_options_in_any_order) {
    constexpr auto port = described_member<&Options::port>();
    EXPECT_EQ(port.name, "gate_port");
    EXPECT_EQ(port.flags, persist);
    EXPECT_EQ(port.about, "where");
    EXPECT_TRUE(port.live && !port.secret);
    EXPECT_EQ(port.bounds.min_as<std::uint16_t>(), 1);
    EXPECT_EQ(port.bounds.max_as<std::uint16_t>(), 65'535);
    EXPECT_EQ(described_member<&Options::share>().unit, "of all");
    EXPECT_EQ(described_member<&Options::wait>().bounds.max_as<std::chrono::milliseconds>(), 1min);
    constexpr auto key = described_member<&Options::key>();
    EXPECT_TRUE(key.secret && !key.live && !key.bounds.any());
    EXPECT_TRUE(key.bounds.contains(std::string("any")));
}

TEST(Describe, ranges_include_their_ends) {
    constexpr Bounds wait = described_member<&Options::wait>().bounds;
    EXPECT_TRUE(wait.contains(10ms) && wait.contains(60'000ms));
    EXPECT_FALSE(wait.contains(9ms) || wait.contains(60'001ms));
    constexpr Bounds share = described_member<&Options::share>().bounds;
    EXPECT_TRUE(share.contains(0.0) && share.contains(0.5));
    EXPECT_FALSE(share.contains(0.51) || share.contains(-0.01) || share.contains(std::nan("")));
    constexpr Bounds most = described_member<&Options::most>().bounds;
    EXPECT_TRUE(most.contains(std::optional<int>()) && most.contains(std::optional<int>(-2)));
    EXPECT_FALSE(most.contains(std::optional<int>(-3)));
    constexpr Bounds big = described_member<&Options::big>().bounds;
    EXPECT_TRUE(big.contains(~std::uint64_t{0}));
    EXPECT_FALSE(big.contains(std::uint64_t{7}));
}

TEST(Describe, flags_and_names_reach_the_field_table) {
    const auto fields = fields_of<Bag>();
    ASSERT_EQ(fields.size(), 3u);
    EXPECT_EQ(fields[0].name, "stacks");
    EXPECT_TRUE(has_any(fields[0].flags, to_owner));
    EXPECT_EQ(fields[1].name, "coins");
    EXPECT_EQ(fields[1].offset(), offsetof(Bag, gold));
    EXPECT_EQ(fields[2].flags, transient);
}

// --- round trips ---
TEST(Codec, round_trips_everything_in_both_forms) {
    for (const Form form : {Form::indexes, Form::names}) {
        const Bytes bytes = encode(sample(), form);
        const auto back = decode<Everything>(bytes);
        ASSERT_TRUE(back.ok()) << back.error().what();
        EXPECT_EQ(*back, sample());
        EXPECT_EQ(encode(*back, form), bytes);
        const auto fresh = decode<Everything>(encode(Everything{}, form));
        ASSERT_TRUE(fresh.ok());
        EXPECT_EQ(*fresh, Everything{});
    }
}

TEST(Codec, integers_are_as_short_as_msgpack_allows_and_survive) {
    const std::pair<std::int64_t, std::size_t> sizes[] = {{0, 1},
                                                          {127, 1},
                                                          {128, 2},
                                                          {255, 2},
                                                          {256, 3},
                                                          {65'535, 3},
                                                          {65'536, 5},
                                                          {4'294'967'295, 5},
                                                          {4'294'967'296, 9},
                                                          {INT64_MAX, 9},
                                                          {-1, 1},
                                                          {-32, 1},
                                                          {-33, 2},
                                                          {-128, 2},
                                                          {-129, 3},
                                                          {-32'768, 3},
                                                          {-32'769, 5},
                                                          {INT32_MIN, 5},
                                                          {std::int64_t{INT32_MIN} - 1, 9},
                                                          {INT64_MIN, 9}};
    for (const auto [value, size] : sizes) {
        EXPECT_EQ(encode(value).size(), size) << value;
        const auto back = decode<std::int64_t>(encode(value));
        ASSERT_TRUE(back.ok()) << value;
        EXPECT_EQ(*back, value);
    }
    // A wide form of a small number is accepted: other writers use it.
    EXPECT_EQ(*decode<std::uint8_t>(raw({0xcf, 0, 0, 0, 0, 0, 0, 0, 9})), 9);
    EXPECT_EQ(*decode<std::int8_t>(raw({0xd3, 255, 255, 255, 255, 255, 255, 255, 255})), -1);
}

TEST(Codec, long_texts_arrays_and_maps_use_every_head) {
    for (const std::size_t n : {0u, 15u, 16u, 31u, 32u, 255u, 256u, 65'535u, 65'536u}) {
        const std::string text(n, 'a');
        EXPECT_EQ(*decode<std::string>(encode(text)), text);
        const Bytes bin(n, 7);
        EXPECT_EQ(*decode<Bytes>(encode(bin)), bin);
        const std::vector<std::uint16_t> numbers(n, 300);
        EXPECT_EQ(*decode<std::vector<std::uint16_t>>(encode(numbers)), numbers);
        std::map<int, int> map;
        for (std::size_t i = 0; i < n; ++i) map[static_cast<int>(i)] = 1;
        EXPECT_EQ((*decode<std::map<int, int>>(encode(map))), map);
    }
}

TEST(Codec, unordered_containers_encode_the_same_whatever_their_history) {
    std::unordered_map<int, int> a, b;
    b.reserve(10'000);
    for (int i = 0; i < 500; ++i) a[i] = i;
    for (int i = 499; i >= 0; --i) b[i] = i;
    EXPECT_EQ(encode(a), encode(b));
}

TEST(Codec, writer_appends_to_borrowed_bytes) {
    Bytes out = {1, 2};
    {
        Writer writer(out);
        writer.text("abc");
        EXPECT_EQ(writer.size(), 6u);
        writer.finish();
        EXPECT_EQ(out.size(), 6u);
        writer.nil();
    }
    EXPECT_EQ(out, (Bytes{1, 2, 0xa3, 'a', 'b', 'c', 0xc0}));
}

// --- evolution ---
TEST(Codec, old_and_new_read_each_other_in_both_forms) {
    for (const Form form : {Form::indexes, Form::names}) {
        const auto forward = decode<Old>(encode(New{5, "five", {1, 2, 3}}, form));
        ASSERT_TRUE(forward.ok()) << forward.error().what();
        EXPECT_EQ(forward->b, "five");
        const auto back = decode<New>(encode(Old{6, "six"}, form));
        ASSERT_TRUE(back.ok()) << back.error().what();
        EXPECT_EQ(back->a, 6);
        EXPECT_EQ(back->c, std::vector<int>{7});  // its default
    }
    EXPECT_EQ(decode_strict<Old>(encode(New{}, Form::names)).error().message(),
              "Thing: unknown field \"c\"; known: a, b");
}

TEST(Codec, fields_come_in_any_order) {
    Writer w;
    w.map(2);
    w.text("b");
    w.text("x");
    w.text("a");
    w.integer(4);
    const auto got = decode<Old>(w.view());
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->a, 4);
    EXPECT_EQ(got->b, "x");
}

TEST(Fields, mask_chooses_what_is_written_and_read) {
    const Bag bag{.stacks = {1, 2}, .gold = 9, .cache_ = 4};
    Writer stored;
    encode_fields(stored, &bag, fields_of<Bag>(), persist);
    Bag back;
    ASSERT_TRUE(decode_fields(stored.view(), &back, fields_of<Bag>()).ok());
    EXPECT_EQ(back.stacks, bag.stacks);
    EXPECT_EQ(back.gold, 9);
    EXPECT_EQ(back.cache_, 0);
    Bag owner_only;
    ASSERT_TRUE(decode_fields(stored.view(), &owner_only, fields_of<Bag>(), to_owner).ok());
    EXPECT_EQ(owner_only.gold, 0);
    EXPECT_EQ(owner_only.stacks, bag.stacks);
}

// --- errors name the thing ---
TEST(Codec, errors_say_where_what_and_found) {
    Writer w(Form::names);
    w.map(1);
    w.text("stacks");
    w.array(2);
    w.integer(1);
    w.integer(70'000);
    EXPECT_EQ(failure<Bag>(Bytes(w.view().begin(), w.view().end())),
              "Bag.stacks[1]: expected integer in [0, 65535], found 70000");
    EXPECT_EQ(failure<std::int8_t>(encode(-129)), "expected integer in [-128, 127], found -129");
    EXPECT_EQ(failure<std::uint8_t>(encode(-1)), "expected integer in [0, 255], found -1");
    EXPECT_EQ(failure<int>(encode(std::string("seven"))),
              "expected an integer, found text \"seven\"");
    EXPECT_EQ(failure<std::string>(encode(true)), "expected text, found true");
    EXPECT_EQ(failure<bool>({}), "expected a boolean, found the end");
    EXPECT_EQ(failure<int>(raw({1, 2, 3})), "2 bytes after the end of the value");
    EXPECT_EQ(failure<Color>(encode(1)), "unknown value \"1\"; known: red, green, blue");
    EXPECT_EQ(failure<Color>(encode(std::string("gren"))),
              "unknown value \"gren\"; did you mean \"green\"?");
    EXPECT_EQ(
        (failure<std::map<std::string, Color>>(encode(std::map<std::string, int>{{"sky", 1}}))),
        "[\"sky\"]: unknown value \"1\"; known: red, green, blue");
    EXPECT_EQ((failure<std::array<int, 2>>(encode(std::vector<int>{1, 2, 3}))),
              "expected an array of 2, found an array of 3");
    EXPECT_EQ((failure<std::variant<int, bool>>(encode(std::pair<int, int>{2, 0}))),
              "expected alternative in [0, 1], found 2");
    EXPECT_EQ(failure<float>(encode(1e39)), "expected a 32-bit float, found 1e+39");
    EXPECT_EQ(failure<int>(raw({0xc1})), "byte 0xc1 is not msgpack");
}

TEST(Codec, enum_traits_widen_the_range_or_open_it) {
    EXPECT_EQ(*decode<Tier>(encode(Tier::gold, Form::names)), Tier::gold);
    EXPECT_EQ(*decode<Tier>(encode(300)), Tier::gold);
    EXPECT_EQ(failure<Tier>(encode(200)), "unknown value \"200\"; known: bronze, gold");
    const auto both = static_cast<Bits>(3);
    EXPECT_EQ(*decode<Bits>(encode(both, Form::names)), both);
    EXPECT_EQ(*decode<Bits>(encode(std::string("b"))), Bits::b);
    EXPECT_EQ(failure<Bits>(encode(256)), "expected integer in [0, 255], found 256");
}

// --- hostile bytes ---
TEST(Codec, every_truncation_is_refused) {
    for (const Form form : {Form::indexes, Form::names}) {
        const Bytes bytes = encode(sample(), form);
        for (std::size_t n = 0; n < bytes.size(); ++n)
            ASSERT_FALSE(decode<Everything>(BytesView(bytes).first(n)).ok()) << n;
    }
}

TEST(Codec, flipped_and_random_bytes_never_crash) {
    std::mt19937 random(7);
    std::size_t accepted = 0, refused = 0;
    for (const Form form : {Form::indexes, Form::names}) {
        const Bytes good = encode(sample(), form);
        for (int round = 0; round < 20'000; ++round) {
            Bytes bytes = good;
            for (unsigned flips = 1 + random() % 4; flips != 0; --flips)
                bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1u << random() % 8);
            const auto got = decode<Everything>(bytes);
            if (got.ok()) {
                ++accepted;
                ASSERT_TRUE(decode<Everything>(encode(*got, form)).ok());
            } else {
                ++refused;
            }
        }
    }
    EXPECT_GT(accepted, 0u);
    EXPECT_GT(refused, 0u);
    for (int round = 0; round < 50'000; ++round) {
        Bytes bytes(random() % 64);
        for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
        (void)decode<Everything>(bytes);
        (void)decode<std::vector<Gem>>(bytes);
        Reader reader(bytes);
        while (reader.skip()) {
        }
    }
}

TEST(Codec, deep_nesting_is_refused_without_recursion) {
    Bytes bomb;
    for (int i = 0; i < 100'000; ++i) append(bomb, raw({0x93, 0xa0, 0x01, 0x91}));
    EXPECT_NE(failure<Gem>(bomb).find("nested too deep"), std::string::npos);
    Bytes arrays(200'000, 0x91);
    arrays.push_back(0xc0);
    Reader reader(arrays);
    EXPECT_TRUE(reader.skip());
    EXPECT_TRUE(reader.finish());
    Gem deep{"x", 1, {}};
    for (int i = 0; i < 31; ++i) deep = Gem{"x", 1, {deep}};
    EXPECT_TRUE(decode<Gem>(encode(deep)).ok());
    deep = Gem{"x", 1, {deep}};
    EXPECT_FALSE(decode<Gem>(encode(deep)).ok());
}

TEST(Codec, huge_lengths_are_refused_before_allocation) {
    const auto huge = [](int head) { return raw({head, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}); };
    EXPECT_EQ(failure<std::vector<int>>(huge(0xdd)),
              "4294967295 elements, but only 3 bytes are left");
    EXPECT_EQ((failure<std::map<int, int>>(huge(0xdf))),
              "4294967295 elements, but only 3 bytes are left");
    EXPECT_EQ(failure<std::string>(huge(0xdb)), "text of 4294967295 bytes, but only 3 are left");
    EXPECT_EQ(failure<Bytes>(huge(0xc6)), "binary of 4294967295 bytes, but only 3 are left");
    // One byte an element, 600 bytes in memory each: the byte budget stops what the bytes allow.
    Bytes amplified = raw({0xdd, 0, 0x10, 0, 0});
    amplified.resize(amplified.size() + 0x100000, 0x90);
    EXPECT_EQ(failure<std::vector<Everything>>(amplified),
              "1048576 elements take more memory than this message may");
}

TEST(Codec, budgets_of_nodes_and_bytes_hold_over_the_whole_message) {
    const std::vector<std::vector<int>> lists(10, std::vector<int>(100, 7));
    const Bytes bytes = encode(lists);
    const std::uint64_t memory = 10 * sizeof(std::vector<int>) + 1000 * sizeof(int);
    EXPECT_TRUE(decode<std::vector<std::vector<int>>>(bytes, {.nodes = 1010, .bytes = memory}).ok());
    const auto nodes = decode<std::vector<std::vector<int>>>(bytes, {.nodes = 1009});
    EXPECT_EQ(nodes.error().message(), "[9]: 100 elements are more than this message may hold");
    const auto memory_left = decode<std::vector<std::vector<int>>>(bytes, {.bytes = memory - 1});
    EXPECT_EQ(memory_left.error().message(), "[9]: 100 elements take more memory than this message may");
    const Bytes map = encode(std::map<int, int>{{1, 2}, {3, 4}});
    EXPECT_FALSE((decode<std::map<int, int>>(map, {.nodes = 1}).ok()));
    // What is skipped counts too: a message is no cheaper to walk because nobody wants it.
    Reader reader(bytes, {.nodes = 500});
    EXPECT_FALSE(reader.skip());
}

TEST(Codec, integers_out_of_range_are_refused_whatever_their_width) {
    const Bytes bytes = encode(std::vector<std::int64_t>{1, 127, 128, 255, 256, -1, -32, -33, -128, -129,
                                                         65'535, 65'536, -65'536, INT64_MAX, INT64_MIN});
    const auto all = decode<std::vector<std::int64_t>>(bytes);
    ASSERT_TRUE(all.ok());
    for (const std::int64_t value : *all) {
        const Bytes one = encode(value), list = encode(std::vector{value});
        const auto holds = [&]<class T>(T) {
            const bool fits = std::in_range<T>(value);
            const auto alone = decode<T>(one);
            ASSERT_EQ(alone.ok(), fits) << value;
            if (fits) EXPECT_EQ(*alone, static_cast<T>(value));
            if constexpr (!std::same_as<T, std::uint8_t>) {  // a list of those is binary
                const auto listed = decode<std::vector<T>>(list);
                ASSERT_EQ(listed.ok(), fits) << value;
                if (fits) EXPECT_EQ(listed->front(), *alone);
            }
        };
        holds(std::int8_t{}), holds(std::uint8_t{}), holds(std::int16_t{}), holds(std::uint16_t{});
        holds(std::int32_t{}), holds(std::uint32_t{}), holds(std::int64_t{}), holds(std::uint64_t{});
    }
    EXPECT_EQ(failure<std::vector<std::uint16_t>>(raw({0x93, 1, 2, 0xff})),
              "[2]: expected integer in [0, 65535], found -1");
}

TEST(Codec, texts_of_every_short_length_survive) {
    for (std::size_t n = 0; n < 300; ++n) {
        std::string text(n, ' ');
        for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>('a' + i % 26);
        const auto map = std::map<std::string, std::int8_t>{{text, -1}, {text + "!", 1}};
        EXPECT_EQ((*decode<std::map<std::string, std::int8_t>>(encode(map))), map);
        EXPECT_EQ(*decode<std::string>(encode(text)), text);
    }
}

struct Unordered {
    std::map<int, int> map;
    static consteval auto describe() {
        return gyre::type<Unordered>("Unordered", gyre::field<&Unordered::map>());
    }
};
TEST(Codec, keys_come_in_any_order_and_the_last_of_one_wins) {
    const auto read = decode<Unordered>(raw({0x91, 0x84, 9, 1, 2, 2, 9, 3, 5, 4}));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->map, (std::map<int, int>{{2, 2}, {5, 4}, {9, 3}}));
}

// --- layout ---
struct Inner1 {
    int a = 0, b = 0;
    static consteval auto describe() {
        return gyre::type<Inner1>("Inner", gyre::field<&Inner1::a>(), gyre::field<&Inner1::b>());
    }
};
struct Holey {
    int a = 0;
    std::array<int, 3> forgotten{};
    double b = 0;
    static consteval auto describe() {
        return gyre::type<Holey>("Holey", gyre::field<&Holey::a>(), gyre::field<&Holey::b>());
    }
};
namespace build1 {
struct Part {
    int a = 0, b = 0;
    static consteval auto describe() {
        return gyre::type<Part>("Part", gyre::field<&Part::a>(), gyre::field<&Part::b>());
    }
};
}  // namespace build1
namespace build2 {
struct Part {
    int a = 0, b = 0;
    static consteval auto describe() {
        return gyre::type<Part>("Part", gyre::field<&Part::a>(), gyre::field<&Part::b>());
    }
};
}  // namespace build2

TEST(Layout, a_described_type_is_its_name_not_its_namespace) {
    EXPECT_EQ(layout_hash<build1::Part>(), layout_hash<build2::Part>());
    EXPECT_EQ(layout_hash<std::vector<build1::Part>>(), layout_hash<std::vector<build2::Part>>());
    EXPECT_EQ((layout_hash<std::map<int, build1::Part>>()), (layout_hash<std::map<int, build2::Part>>()));
    EXPECT_NE((layout_hash<std::map<int, int>>()), (layout_hash<std::map<int, int, std::greater<int>>>()));
    EXPECT_NE((layout_hash<std::map<int, int>>()), (layout_hash<std::unordered_map<int, int>>()));
    EXPECT_NE((layout_hash<std::array<int, 2>>()), (layout_hash<std::array<int, 3>>()));
    EXPECT_NE((layout_hash<std::array<int, 2>>()), (layout_hash<std::array<unsigned, 2>>()));
    EXPECT_NE((layout_hash<std::optional<int>>()), (layout_hash<std::optional<float>>()));
}

/// Keeps functions of its build, as an ecs world does.
struct Keeper {
    int adopted = 0;
    void gyre_adopt() { ++adopted; }
};
}  // namespace
template <>
struct gyre::Codec<Keeper> {
    static void encode(Writer& w, const Keeper& k) { w.integer(k.adopted); }
    static bool decode(Reader& r, Keeper& k) { return r.integer(k.adopted); }
};
namespace {
struct Tree {
    std::vector<Tree> children;
    std::optional<Keeper> keeper;
    std::map<int, std::vector<Keeper>> more;
    std::string name;
    static consteval auto describe() {
        return gyre::type<Tree>("Tree", gyre::field<&Tree::children>(), gyre::field<&Tree::keeper>(),
                                gyre::field<&Tree::more>(), gyre::field<&Tree::name>());
    }
};
struct Leaf {
    std::vector<Leaf> children;
    std::string name;
    static consteval auto describe() {
        return gyre::type<Leaf>("Leaf", gyre::field<&Leaf::children>(), gyre::field<&Leaf::name>());
    }
};

TEST(Adopt, reaches_what_keeps_code_and_only_that) {
    EXPECT_TRUE(detail::holds_code<Tree>());
    EXPECT_FALSE(detail::holds_code<Leaf>());
    Tree tree;
    tree.children.resize(2);
    tree.children[1].keeper.emplace();
    tree.children[0].more[7].resize(3);
    for (const auto& field : fields_of<Tree>())
        if (field.adopt) field.adopt(&tree);
    EXPECT_EQ(tree.children[1].keeper->adopted, 1);
    EXPECT_EQ(tree.children[0].more[7][2].adopted, 1);
    const auto fields = fields_of<Tree>();
    EXPECT_TRUE(fields[0].adopt(nullptr));
    EXPECT_EQ(fields[3].adopt, nullptr);
    EXPECT_FALSE(fields_of<Leaf>()[0].adopt(nullptr));
    EXPECT_EQ(fields[3].type, "std::basic_string<char>");
}

// --- values an older build wrote ---
struct PurseBefore {
    std::int64_t gold = 0;
    std::string level;
    std::int32_t kept = 0;
    int gone = 1;
    static consteval auto describe() {
        return gyre::type<PurseBefore>("Purse", gyre::field<&PurseBefore::gold>(), gyre::field<&PurseBefore::level>(),
                                       gyre::field<&PurseBefore::kept>(), gyre::field<&PurseBefore::gone>());
    }
};
struct Purse {
    std::int64_t coins = 0;   // was gold
    std::int32_t level = 0;   // was text
    std::int64_t kept = 0;    // grew
    int added = 5;
    static void migrate(gyre::Old& old, Purse& now) {
        if (const auto gold = old.get<std::int64_t>("gold")) now.coins = *gold;
        if (const auto level = old.get<std::string>("level")) now.level = std::stoi(*level);
    }
    static consteval auto describe() {
        return gyre::type<Purse>("Purse", gyre::field<&Purse::coins>(), gyre::field<&Purse::level>(),
                                 gyre::field<&Purse::kept>(), gyre::field<&Purse::added>());
    }
};
struct Careless {
    std::int32_t level = 0;
    static void migrate(gyre::Old&, Careless&) {}
    static consteval auto describe() { return gyre::type<Careless>("Purse", gyre::field<&Careless::level>()); }
};
struct Chest {
    std::vector<Purse> purses;
    static consteval auto describe() { return gyre::type<Chest>("Chest", gyre::field<&Chest::purses>()); }
};

TEST(Migrate, carries_renamed_and_retyped_fields_also_within_others) {
    const Bytes before = encode(std::map<std::string, std::vector<PurseBefore>>{{"purses", {{40, "7", 3, 9}}}}, Form::names);
    const auto chest = decode<Chest>(before).value();
    ASSERT_EQ(chest.purses.size(), 1u);
    EXPECT_EQ(chest.purses[0].coins, 40);
    EXPECT_EQ(chest.purses[0].level, 7);
    EXPECT_EQ(chest.purses[0].kept, 3);
    EXPECT_EQ(chest.purses[0].added, 5);
    const auto again = decode<Chest>(encode(chest, Form::names)).value();  // what is new stays as it is
    EXPECT_EQ(again.purses[0].coins, 40);
}
TEST(Migrate, what_does_not_fit_and_is_not_asked_for_is_refused) {
    const auto read = decode<Careless>(encode(PurseBefore{1, "x", 2, 3}, Form::names));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().message(),
              "Purse: level: expected an integer, found text \"x\"; migrate() does not ask for it");
}

TEST(Layout, hash_is_stable_and_sees_into_containers) {
    EXPECT_EQ(layout_hash<Gem>(), layout_hash<Gem>());
    EXPECT_NE(layout_hash<Old>(), layout_hash<New>());
    EXPECT_NE(layout_hash<std::vector<Inner1>>(), layout_hash<std::vector<build1::Part>>());
    EXPECT_NE((layout_hash<std::map<int, Old>>()), (layout_hash<std::map<int, New>>()));
}

TEST(Layout, an_undescribed_member_is_named) {
    EXPECT_TRUE(
        check_layout("Everything", sizeof(Everything), alignof(Everything), fields_of<Everything>())
            .ok());
    const auto hole = check_layout("Holey", sizeof(Holey), alignof(Holey), fields_of<Holey>());
    ASSERT_FALSE(hole.ok());
    EXPECT_EQ(hole.error().message(), "Holey: 12 bytes at offset 4 are in no described field");
}

}  // namespace
