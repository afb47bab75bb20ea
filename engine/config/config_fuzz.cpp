#include <cstdlib>
#include <gyre/codec/json.hpp>
#include <gyre/config/schema.hpp>

using namespace gyre;
namespace {

struct Link {
    std::uint16_t mtu_bytes = 1'200;
    Duration idle = 10s;
    static consteval auto describe() {
        return gyre::type<Link>("Link", field<&Link::mtu_bytes>(range(576, 1'400)), field<&Link::idle>(range(1s, 5min)));
    }
};
enum class Mode : std::uint8_t { duel, team };
struct Gate {
    static constexpr std::string_view config_section = "gate";
    std::uint16_t port = 7'000;
    double loss = 0;
    bool tls = false;
    std::string pin;
    Mode mode = Mode::duel;
    std::optional<std::int64_t> most;
    std::vector<std::string> peers;
    std::map<std::string, Link> links;
    std::vector<Link> more;
    std::array<std::uint8_t, 4> key{};
    static consteval auto describe() {
        return gyre::type<Gate>("Gate", field<&Gate::port>(range(1, 65'535)), field<&Gate::loss>(range(0, 1)), field<&Gate::tls>(),
                                field<&Gate::pin>(secret), field<&Gate::mode>(), field<&Gate::most>(range_min(3)),
                                field<&Gate::peers>(), field<&Gate::links>(), field<&Gate::more>(), field<&Gate::key>());
    }
    Result<> validate() const { return config::Check().that(port != 13, "port", "must not be 13"); }
};

void check(bool holds) {
    if (!holds) std::abort();
}

/// Files after the first are parted by a line "=== name".
std::map<std::string, std::string> files_of(std::string_view bytes) {
    constexpr std::string_view mark = "\n=== ";
    std::map<std::string, std::string> files;
    std::string name = "main";
    for (;;) {
        const std::size_t end = std::min(bytes.find(mark), bytes.size());
        files.emplace(name, bytes.substr(0, end));
        if (end == bytes.size()) return files;
        bytes.remove_prefix(end + mark.size());
        const std::size_t line = std::min(bytes.find('\n'), bytes.size());
        name = bytes.substr(0, line);
        bytes.remove_prefix(std::min(line + 1, bytes.size()));
    }
}

void check_problems(const std::vector<config::Problem>& problems, const std::map<std::string, std::string>& files) {
    for (const auto& problem : problems) {
        check(!problem.message.empty() && print(problem).size() < 64u << 10);
        for (const char c : problem.excerpt) check(c == '\n' || static_cast<std::uint8_t>(c) >= 0x20);
        const auto file = files.find(problem.file);
        if (problem.line == 0 || file == files.end()) continue;
        std::size_t begin = 0;
        for (std::uint32_t line = 1; line < problem.line; ++line) {
            begin = file->second.find('\n', begin) + 1;
            check(begin != 0);
        }
        const std::size_t end = std::min(file->second.find('\n', begin), file->second.size());
        check(problem.column >= 1 && problem.column <= end - begin + 1);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto files = files_of({reinterpret_cast<const char*>(data), size});
    const config::LoadOptions options{
        .profile = files.contains("profile") ? files.at("profile") : "",
        .read_file = [&files](const std::string& path, std::size_t) -> Result<std::string> {
            const auto found = files.find(path);
            if (found == files.end()) return Error(errc::bad_config, "cannot be read");
            return found->second;
        },
        .variable = [](const std::string& name) { return name == "A" ? std::optional<std::string>("12") : std::nullopt; }};
    auto document = config::Document::from_text(files.at("main"), "main", options);
    if (!document) {
        check(!document.error().message().empty());
        return 0;
    }
    static constexpr const config::Section* known[] = {&config::section<Gate>};
    const config::Declaration declared(*document, known);
    check_problems(document->problems(), files);
    check_problems(document->problems_of(*document), files);
    check(document->as<Gate>().ok() == (document->problems().empty() && document->problems_of<Gate>("gate").empty()));
    (void)print(document->explain("gate.port"));
    (void)document->to_redacted_json();
    if (files.contains("set")) {
        (void)document->set(files.at("set"));
        check_problems(document->problems_of(*document), files);
        (void)print(document->explain("gate"));
    }
    // What was printed reads as the same, where no $ is left to mean something and no file or option brought a NUL.
    if (const auto json = document->to_json(); json && json->find('$') == json->npos && json->find("\\u0000") == json->npos) {
        const auto again = config::Document::from_text(*json);
        check(again.ok());
        check(*again->to_json() == *json);
    }
    return 0;
}
