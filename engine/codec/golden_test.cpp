#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gyre/codec/json.hpp>
#include <random>
#include <sstream>

using namespace gyre;
namespace {

enum class Color : std::uint8_t { red, green, blue };

struct Golden {
    EntityId id = 0;
    std::string name;
    Color color = Color::red;
    std::optional<std::int16_t> level, rank;
    std::vector<std::string> tags;
    std::unordered_map<std::string, std::int32_t> counts;
    Duration wait{};
    Bytes key;
    std::variant<std::int32_t, std::string> choice;
    std::vector<Golden> inside = {};
    bool operator==(const Golden&) const = default;
    static consteval auto describe() {
        using G = Golden;
        return gyre::type<G>(
            "Golden", gyre::field<&G::id>(), gyre::field<&G::name>(), gyre::field<&G::color>(),
            gyre::field<&G::level>(), gyre::field<&G::rank>(), gyre::field<&G::tags>(),
            gyre::field<&G::counts>(), gyre::field<&G::wait>(), gyre::field<&G::key>(),
            gyre::field<&G::choice>(), gyre::field<&G::inside>());
    }
};

/// Lines of protocol/golden/NAME without comments; the folder is above the executable.
std::vector<std::string> golden(const std::string& name) {
    namespace fs = std::filesystem;
    std::vector<std::string> lines;
    for (fs::path at = fs::read_symlink("/proc/self/exe"); at.has_relative_path();
         at = at.parent_path()) {
        std::ifstream file(at.parent_path() / "protocol/golden" / name);
        for (std::string line; std::getline(file, line);)
            if (!line.starts_with('#')) lines.push_back(line);
        if (!lines.empty()) break;
    }
    return lines;
}

Bytes from_hex(const std::string& hex) {
    Bytes out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        out.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return out;
}

TEST(GoldenBytes, values_are_read_and_written_as_an_independent_msgpack_does) {
    const auto lines = golden("msgpack.hex");
    ASSERT_GT(lines.size(), 50u);
    for (const auto& line : lines) {
        std::istringstream parts(line);
        std::string hex, mode, json;
        parts >> hex >> mode;
        std::getline(parts >> std::ws, json);
        const Bytes bytes = from_hex(hex);
        const auto text = msgpack_to_json(bytes);
        ASSERT_TRUE(text.ok()) << line;
        EXPECT_EQ(*text, json);
        const auto written = json_to_msgpack(json);
        ASSERT_TRUE(written.ok()) << line;
        if (mode == "=") EXPECT_EQ(*written, bytes) << line;
    }
}

TEST(GoldenBytes, a_struct_in_both_forms) {
    const auto lines = golden("struct.hex");
    ASSERT_EQ(lines.size(), 2u);
    Golden g{make_entity_id(3, 12345),          "Ada",  Color::blue, -300,  {}, {"x", "y"},
             {{"wood", 70'000}, {"gold", 100}}, 1500ms, {1, 2, 255}, "text"};
    g.inside.resize(1);
    for (const Form form : {Form::indexes, Form::names}) {
        const Bytes bytes = from_hex(lines[form == Form::names]);
        EXPECT_EQ(encode(g, form), bytes);
        const auto back = decode<Golden>(bytes);
        ASSERT_TRUE(back.ok()) << back.error().what();
        EXPECT_EQ(*back, g);
    }
}

/// What tools/msgpack_peer.py prints: lines of (hex, JSON). Debian's python, where python3-msgpack is.
std::vector<std::pair<std::string, std::string>> independent(const std::string& arguments) {
    std::vector<std::pair<std::string, std::string>> lines;
    const std::string command = "/usr/bin/python3 tools/msgpack_peer.py " + arguments + " 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    if (!pipe) return lines;
    std::string text;
    for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    EXPECT_EQ(pclose(pipe), 0) << text << "(apt-get install python3-msgpack)";
    std::istringstream all(text);
    for (std::string line; std::getline(all, line);)
        lines.emplace_back(line.substr(0, line.find('\t')), line.substr(line.find('\t') + 1));
    return lines;
}

std::string hex(BytesView bytes) {
    std::string out;
    for (const std::uint8_t byte : bytes)
        for (const int digit : {byte >> 4, byte & 15}) out += "0123456789abcdef"[digit];
    return out;
}

TEST(GoldenBytes, an_independent_msgpack_reads_the_same_and_we_read_what_it_writes) {
    const auto lines = golden("msgpack.hex");
    const auto theirs = independent("golden protocol/golden/msgpack.hex");
    ASSERT_EQ(theirs.size(), lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto own = msgpack_to_json(from_hex(lines[i].substr(0, lines[i].find(' '))));
        const auto back = msgpack_to_json(from_hex(theirs[i].first));
        ASSERT_TRUE(own.ok() && back.ok()) << lines[i];
        // A float 32 is printed short, and theirs comes back as a float 64.
        if (!lines[i].starts_with("ca")) EXPECT_EQ(*own, *back) << lines[i];
    }
}

/// Structs of random content go to the independent msgpack and come back as it writes them.
TEST(GoldenBytes, an_independent_msgpack_carries_structs_in_both_forms) {
    std::mt19937 random(7);
    const auto below = [&](std::size_t n) { return random() % n; };
    const auto number = [&] { return static_cast<std::int64_t>(random()) << below(33) >> below(60); };
    const auto text = [&] { return std::string(below(8) ? below(40) : below(700), 'a'); };
    std::vector<Golden> values;
    for (int i = 0; i < 60; ++i) {
        Golden g{static_cast<EntityId>(number()), text(), static_cast<Color>(below(3)), {}, {}, {}, {},
                 Duration(number()), Bytes(below(300), 9), {}};
        if (below(2)) g.level = static_cast<std::int16_t>(random());
        for (std::size_t n = below(20); n != 0; --n) g.tags.push_back(text());
        for (std::size_t n = below(40); n != 0; --n)
            g.counts["k" + std::to_string(below(99))] = static_cast<std::int32_t>(random());
        if (below(2)) g.choice = text(); else g.choice = static_cast<std::int32_t>(random());
        if (i == 7) g.name.resize(70'000, 'b');
        if (i % 3) g.inside.push_back(values.back());
        values.push_back(std::move(g));
    }
    const std::string path = testing::TempDir() + "golden_test_" + std::to_string(getpid());
    {
        std::ofstream file(path);
        for (const auto& g : values)
            for (const Form form : {Form::indexes, Form::names}) file << hex(encode(g, form)) << '\n';
    }
    const auto theirs = independent("echo < " + path);
    std::filesystem::remove(path);
    ASSERT_EQ(theirs.size(), 2 * values.size());
    for (std::size_t i = 0; i < theirs.size(); ++i) {
        const Bytes bytes = from_hex(theirs[i].first);
        const auto back = decode<Golden>(bytes);
        ASSERT_TRUE(back.ok()) << back.error().what();
        EXPECT_EQ(*back, values[i / 2]);
        if (i % 2 == 0) continue;
        const auto from_their_json = from_json<Golden>(theirs[i].second, {.max_depth = 128});
        ASSERT_TRUE(from_their_json.ok()) << from_their_json.error().what();
        EXPECT_EQ(*from_their_json, values[i / 2]);
    }
}

TEST(GoldenBytes, the_struct_is_what_an_independent_msgpack_reads) {
    const auto theirs = independent("echo < protocol/golden/struct.hex");
    ASSERT_EQ(theirs.size(), 2u);
    const auto lines = golden("struct.hex");
    ASSERT_EQ(lines.size(), 2u);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(theirs[i].first, lines[i]);
    EXPECT_EQ(theirs[0].second,
              R"(["54043195528458297", "Ada", 2, -300, null, ["x", "y"], {"gold": 100, "wood": 70000}, )"
              R"(1500000000, "AQL/", [1, "text"], [[0, "", 0, null, null, [], {}, 0, "", [0, 0], []]]])");
    EXPECT_NE(theirs[1].second.find(R"("color": "blue", "level": -300, "rank": null)"), std::string::npos)
        << theirs[1].second;
}

}  // namespace
