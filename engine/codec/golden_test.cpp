#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <gyre/codec/json.hpp>
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

}  // namespace
