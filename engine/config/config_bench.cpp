#include <benchmark/benchmark.h>

#include <gyre/config/config.hpp>

namespace gyre::config {
namespace {

struct Link {
    std::uint16_t mtu_bytes = 1'200;
    Duration idle_timeout = 10s;
    double loss = 0;
    static consteval auto describe() {
        return gyre::type<Link>("Link", field<&Link::mtu_bytes>(range(576, 1'400)),
                                field<&Link::idle_timeout>(range(1s, 5min)), field<&Link::loss>(range(0, 1)));
    }
};
struct NodeSection {
    std::string ip, type, log;
    std::uint16_t port = 0;
    std::uint32_t max_sessions = 0;
    bool tls = false;
    std::vector<std::string> peers;
    std::map<std::string, Link> links;
    static consteval auto describe() {
        return gyre::type<NodeSection>(
            "NodeSection", field<&NodeSection::ip>(), field<&NodeSection::type>(), field<&NodeSection::log>(),
            field<&NodeSection::port>(range(1, 65'535)), field<&NodeSection::max_sessions>(range(1, 1'000'000)),
            field<&NodeSection::tls>(), field<&NodeSection::peers>(), field<&NodeSection::links>());
    }
    Result<> validate() const { return Check().that(!ip.empty(), "ip", "must not be empty"); }
};

/// 50 lines: comments, macros, text with macros in it, lists, objects in objects.
std::string section(int i) {
    const std::string n = std::to_string(i);
    std::string text = "    \"node_" + n + "\": {   // number " + n + "\n        \"$MACRO$\": {\"INDEX\": " + n +
                       "},\n        \"ip\": \"$HOST$\",  # of all\n        \"port\": " + std::to_string(8'000 + i) +
                       ",\n        \"type\": \"battle\",\n        \"log\": \"/var/log/gyre/$CLUSTER$/node_$INDEX$.log\",\n"
                       "        \"max_sessions\": \"$SESSIONS$\",\n        \"tls\": true,\n"
                       "        /* who it talks to,\n           in order */\n        \"peers\": [\n";
    for (int k = 0; k < 12; ++k) text += "            \"tcp://$HOST$:" + std::to_string(9'000 + k) + "\",\n";
    text += "        ],\n        \"links\": {\n";
    for (int k = 0; k < 5; ++k)
        text += "            \"link_" + std::to_string(k) + "\": {\n                \"mtu_bytes\": 1300,\n" +
                "                \"idle_timeout\": \"30s\",\n                \"loss\": 0.25,\n            },\n";
    return text + "        },\n    },\n";
}

struct Files {
    std::string main = "{\n    \"$include\": \"nodes.json\",\n    \"$MACRO$\": {\"HOST\": \"10.0.0.1\", \"CLUSTER\": \"one\", \"SESSIONS\": 5000},\n";
    std::string nodes = "{\n";
    Files() {
        for (int i = 0; i < 100; ++i) main += section(i);
        for (int i = 100; i < 200; ++i) nodes += section(i);
        main += "}\n";
        nodes += "}\n";
    }
    std::int64_t lines() const { return std::count(main.begin(), main.end(), '\n') + std::count(nodes.begin(), nodes.end(), '\n'); }
    LoadOptions options() const {
        return {.read_file = [this](const std::string&, std::size_t) -> Result<std::string> { return nodes; }};
    }
};

/// Read, included, macros replaced, every one of 200 sections bound to its struct and checked.
void config_load_10000_lines(benchmark::State& state) {
    const Files files;
    for (auto _ : state) {
        const auto document = Document::from_text(files.main, "gyre.json", files.options());
        for (int i = 0; i < 200; ++i) {
            auto read = document->as<NodeSection>("node_" + std::to_string(i));
            if (!read) return state.SkipWithError(read.error().message().c_str());
            benchmark::DoNotOptimize(read);
        }
    }
    state.counters["lines"] = static_cast<double>(files.lines());
}
BENCHMARK(config_load_10000_lines)->Unit(benchmark::kMillisecond);

/// One of them, of a document that is there.
void config_bind_section(benchmark::State& state) {
    const Files files;
    const auto document = Document::from_text(files.main, "gyre.json", files.options());
    for (auto _ : state) benchmark::DoNotOptimize(document->as<NodeSection>("node_150"));
}
BENCHMARK(config_bind_section);

/// Every one of 10 000 lines is wrong.
void config_wrong_10000_lines(benchmark::State& state) {
    std::string text = "{\n";
    for (int i = 0; i < 10'000; ++i) text += "    \"key_" + std::to_string(i) + "\": oops\n";
    for (auto _ : state) benchmark::DoNotOptimize(Document::from_text(text));
}
BENCHMARK(config_wrong_10000_lines)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gyre::config
