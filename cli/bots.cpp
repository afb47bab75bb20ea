#include "bots.hpp"

#include <gyre/io/loop.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/node/data_folder.hpp>
#include <gyre/node/process.hpp>
#include <gyre_sdk/bots.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>

namespace gyre::cli {
namespace {

struct Options {
    std::string data = node::ProcessOptions{}.data;
    std::vector<std::string> accounts, gates;
    std::string server_key;
    std::string transport = "tcp";
    std::string module = "arena_bots";
    std::string duration = "30s";
    std::uint32_t count = 100;
    double ramp_per_s = 50;
    std::uint64_t seed = 1;
    bool json = false;
};

int refuse(const std::string& text) {
    std::fprintf(stderr, "gyre bots: %s\n", text.c_str());
    return node::exit_code::refused;
}

/// "30s", "1500ms", "2m", "1h"; a bare number is seconds.
std::optional<Duration> parse_duration(const std::string& text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || !(value >= 0 && value < 1e9)) return {};
    const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
    const double seconds = unit == "ms"                  ? value / 1000
                           : unit.empty() || unit == "s" ? value
                           : unit == "m"                 ? value * 60
                           : unit == "h"                 ? value * 3600
                                                         : -1;
    if (seconds < 0) return {};
    return Duration(static_cast<Duration::rep>(seconds * 1e9));
}

/// Where players come in: as told, else of the cluster that runs on the data folder.
Result<> find_doors(const Options& options, sdk::BotOptions& bots) {
    const auto read = [](const std::vector<std::string>& texts, std::vector<io::Endpoint>& out) -> Result<> {
        for (const auto& text : texts) {
            auto endpoint = io::Endpoint::parse(text);
            if (!endpoint) return endpoint.error();
            out.push_back(*std::move(endpoint));
        }
        return {};
    };
    if (auto ok = read(options.accounts, bots.accounts); !ok) return ok;
    if (auto ok = read(options.gates, bots.gates); !ok) return ok;
    if (!options.server_key.empty()) {
        const auto key = secure::public_key_from_text(options.server_key);
        if (!key) return Error(key.error().code(), "--server-key: " + key.error().message());
        bots.server_key = *key;
    }
    if (!bots.accounts.empty() && !bots.gates.empty() && !options.server_key.empty()) return {};
    const auto folder = node::DataFolder::find(options.data);
    if (!folder) return folder.error();
    if (options.server_key.empty()) {
        const auto key = folder->server_key();
        if (!key) return key.error();
        bots.server_key = *key;
    }
    if (!bots.accounts.empty() && !bots.gates.empty()) return {};
    const auto cluster = folder->cluster();
    if (!cluster) return cluster.error();
    for (const auto& one : cluster->nodes) {
        if (options.accounts.empty() && one.role == "account") bots.accounts.push_back(one.http_address);
        if (options.gates.empty() && one.role == "gate") bots.gates.push_back(one.client_address);
    }
    return {};
}

double cpu_seconds() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// One line, redrawn: only for people who look at a terminal.
void show_progress(const sdk::BotRun& run, std::uint32_t count, Duration duration) {
    const auto& report = run.report();
    if (!run.measuring()) {
        std::fprintf(stderr, "\r\x1b[K%u of %u bots logged in, %llu errors", run.logged_in(), count,
                     static_cast<unsigned long long>(report.errors));
    } else {
        std::fprintf(stderr,
                     "\r\x1b[K%u bots  %lld s of %lld s  %llu matches  %llu messages  %llu errors  "
                     "round trip p50 %.1f ms  p99 %.1f ms",
                     run.logged_in(), static_cast<long long>(run.measured_for() / 1s),
                     static_cast<long long>(duration / 1s),
                     static_cast<unsigned long long>(report.matches_finished),
                     static_cast<unsigned long long>(report.messages),
                     static_cast<unsigned long long>(report.errors),
                     static_cast<double>(report.rtt_us.quantile(0.5)) / 1000,
                     static_cast<double>(report.rtt_us.quantile(0.99)) / 1000);
    }
    std::fflush(stderr);
}

int run_bots(const Options& options) {
    sdk::BotOptions bots;
    bots.count = options.count;
    bots.ramp_per_s = options.ramp_per_s;
    bots.seed = options.seed;
    const auto duration = parse_duration(options.duration);
    if (!duration)
        return refuse("--duration: \"" + options.duration + "\", expected such as 30s, 2m or 1h");
    bots.duration = *duration;
    bots.transport = options.transport == "udp"   ? sdk::Transport::udp
                     : options.transport == "kcp" ? sdk::Transport::kcp
                                                  : sdk::Transport::tcp;
    if (const auto found = find_doors(options, bots); !found) return refuse(found.error().message());
    if (const auto checked = sdk::check(bots); !checked) return refuse("--" + checked.error().message());
    const auto manifest = sdk::load_bots(options.module);
    if (!manifest) return refuse(manifest.error().message());

    log::set_level(log::Level::error);
    io::Loop loop;
    sdk::BotRun run(loop, bots, *manifest);
    loop.on_signal({SIGINT, SIGTERM}, [&run](int) { run.stop(); });
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    Alarm progress(loop.executor(), [&] { show_progress(run, bots.count, bots.duration); });
    if (terminal) progress.every(500ms);
    const TimePoint began = loop.now();
    const auto report = loop.run_task(run.run());
    if (terminal) std::fputs("\r\x1b[K", stderr);
    const double cores = cpu_seconds() / std::max(0.001, to_ms(loop.now() - began) / 1000);
    char line[64];
    std::snprintf(line, sizeof line, "%-18s %.2f cores\n", "bots took", cores);
    std::fputs((report.summary() + line).c_str(), options.json ? stderr : stdout);
    if (options.json) std::printf("%s\n", report.to_json_line().c_str());
    std::fflush(stdout);
    return report.errors == 0 ? node::exit_code::ok : node::exit_code::failed;
}

}  // namespace

void add_bots_command(CLI::App& app, int& exit_code) {
    const auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand("bots", "players that log in, play match after match and measure");
    command->add_option("--count", options->count, "how many")->capture_default_str();
    command->add_option("--duration", options->duration, "from the last log-in: 30s, 2m, 1h")
        ->capture_default_str();
    command->add_option("--ramp", options->ramp_per_s, "log-ins a second")->capture_default_str();
    command->add_option("--seed", options->seed, "what they choose, and their accounts")->capture_default_str();
    command->add_option("--data", options->data, "folder of the cluster to play on")->capture_default_str();
    command->add_option("--account", options->accounts, "HOST:PORT of the account service, instead of --data's");
    command->add_option("--gate", options->gates, "HOST:PORT of a gate, instead of --data's");
    command->add_option("--transport", options->transport, "tcp, udp, or kcp: plain, for servers with standard_kcp")
        ->check(CLI::IsMember({"tcp", "udp", "kcp"}))
        ->capture_default_str();
    command->add_option("--server-key", options->server_key, "key that the gates prove, instead of --data's server.pub");
    command->add_option("--module", options->module, "module of bots: a name, or a path")->capture_default_str();
    command->add_flag("--json", options->json, "the last line of stdout is the result as JSON");
    command->callback([options, &exit_code] { exit_code = run_bots(*options); });
}

}  // namespace gyre::cli
