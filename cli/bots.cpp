#include "bots.hpp"

#include <gyre/io/loop.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/node/data_folder.hpp>
#include <gyre/node/process.hpp>
#include <gyre/sim/linked_io.hpp>
#include <gyre_sdk/bots.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <algorithm>
#include <csignal>
#include <cstdio>

#include "terminal.hpp"

namespace gyre::cli {
namespace {

struct Options {
    std::string data = node::ProcessOptions{}.data;
    std::vector<std::string> accounts, gates;
    std::string server_key;
    std::string transport = "tcp", link;
    std::uint64_t link_seed = 1;
    bool only = false;
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

constexpr std::pair<const char*, sdk::Transport> transports[] = {
    {"rudp", sdk::Transport::rudp}, {"tcp", sdk::Transport::tcp}, {"kcp", sdk::Transport::kcp}};

struct Played {
    sdk::BotReport report;
    double cores = 0;
    std::uint64_t link_bytes = 0;
    bool stopped = false;
};

/// One run, from log-in to report.
Played play(const sdk::BotOptions& bots, const sdk::BotManifest& manifest, const std::optional<sim::LinkConfig>& link,
            std::uint64_t link_seed) {
    Played played;
    io::Loop loop;
    std::optional<sim::LinkedIo> far;
    if (link) far.emplace(loop, *link, *link, link_seed);
    sdk::BotRun run(far ? static_cast<io::Io&>(*far) : loop, bots, manifest);
    loop.on_signal({SIGINT, SIGTERM}, [&](int) {
        played.stopped = true;
        run.stop();
    });
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    Alarm progress(loop.executor(), [&] { show_progress(run, bots.count, bots.duration); });
    if (terminal) progress.every(500ms);
    const TimePoint began = loop.now();
    const double cpu = cpu_seconds();
    played.report = loop.run_task(run.run());
    if (terminal) std::fputs("\r\x1b[K", stderr);
    played.cores = (cpu_seconds() - cpu) / std::max(0.001, to_ms(loop.now() - began) / 1000);
    if (far) played.link_bytes = far->counters().bytes;
    return played;
}

std::string tenths(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

/// {"transport":"rudp","link_bytes":..,  and what a report says.
std::string json_of(const char* transport, const Played& played) {
    return "{\"transport\":\"" + std::string(transport) + "\",\"link_bytes\":" + std::to_string(played.link_bytes) + "," +
           played.report.to_json_line().substr(1);
}

/// The same bots over one link by each transport in turn, in one table.
int compare(const Options& options, sdk::BotOptions bots, const sdk::BotManifest& manifest, const sim::LinkConfig& link) {
    std::vector<std::vector<std::string>> rows{
        {"TRANSPORT", "INPUT_TO_STATE_MS p50", "p95", "p99", "RTT_MS p50", "p99", "KB/S A BOT", "MATCHES", "ERRORS"}};
    bool failed = false, stopped = false;
    const auto is_named = [&](const auto& one) { return options.transport == one.first; };
    std::vector<std::pair<const char*, sdk::Transport>> order(std::begin(transports), std::end(transports));
    std::rotate(order.begin(), std::find_if(order.begin(), order.end(), is_named), order.end());
    std::string kinds;
    for (const auto& [name, transport] : order) {
        const bool named = options.transport == name;
        if (stopped || (options.only && !named)) continue;
        bots.transport = transport;
        // Plain KCP has nobody to say no: who gets no answer gives up.
        bots.give_up_after = transport == sdk::Transport::kcp ? 15s : bots.give_up_after;
        std::fprintf(stderr, "%u bots over %s, %s\n", bots.count, name, options.link.c_str());
        const Played played = play(bots, manifest, link, options.link_seed);
        stopped = played.stopped;
        const auto& report = played.report;
        if (report.logins == 0 && !named) {
            rows.push_back({name, transport == sdk::Transport::kcp ? "no answer: do servers have standard_kcp on?" : "nobody came in"});
            continue;
        }
        const auto ms = [](const metric::Histogram& h, double share) { return tenths(static_cast<double>(h.quantile(share)) / 1000); };
        const double seconds = std::max(0.001, to_ms(report.duration + report.ramp) / 1000);
        rows.push_back({name, ms(report.input_to_state_us, 0.5), ms(report.input_to_state_us, 0.95), ms(report.input_to_state_us, 0.99),
                        ms(report.rtt_us, 0.5), ms(report.rtt_us, 0.99),
                        tenths(static_cast<double>(played.link_bytes) / seconds / std::max(1u, report.bots) / 1000),
                        std::to_string(report.matches_finished), std::to_string(report.errors)});
        for (const auto& [kind, told] : report.error_kinds)
            kinds += std::string(name) + ": " + kind + ": " + std::to_string(told.times) + " times, first: " + told.first + "\n";
        failed |= named && report.errors > 0;
        if (options.json) std::printf("%s\n", json_of(name, played).c_str());
    }
    std::fputs((table(1, rows, {1, 2, 3, 4, 5, 6, 7, 8}) + kinds + "tcp: a model of the kernel's, see docs/link.md\n").c_str(),
               options.json ? stderr : stdout);
    std::fflush(stdout);
    return failed ? node::exit_code::failed : node::exit_code::ok;
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
    for (const auto& [name, transport] : transports)
        if (options.transport == name) bots.transport = transport;
    std::optional<sim::LinkConfig> link;
    if (!options.link.empty()) {
        const auto parsed = sim::parse_link(options.link);
        if (!parsed) return refuse("--link: " + parsed.error().message());
        link = *parsed;
    } else if (options.only) {
        return refuse("--only: there is nothing to compare without --link");
    }
    if (const auto found = find_doors(options, bots); !found) return refuse(found.error().message());
    if (const auto checked = sdk::check(bots); !checked) return refuse("--" + checked.error().message());
    const auto manifest = sdk::load_bots(options.module);
    if (!manifest) return refuse(manifest.error().message());

    log::set_level(log::Level::error);
    if (link) return compare(options, bots, *manifest, *link);
    const Played played = play(bots, *manifest, link, options.link_seed);
    char line[64];
    std::snprintf(line, sizeof line, "%-18s %.2f cores\n", "bots took", played.cores);
    std::fputs((played.report.summary() + line).c_str(), options.json ? stderr : stdout);
    if (options.json) std::printf("%s\n", played.report.to_json_line().c_str());
    std::fflush(stdout);
    return played.report.errors == 0 ? node::exit_code::ok : node::exit_code::failed;
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
    command->add_option("--transport", options->transport, "tcp, rudp, or kcp: plain, for servers with standard_kcp")
        ->check(CLI::IsMember({"tcp", "rudp", "kcp"}))
        ->capture_default_str();
    command->add_option("--link", options->link,
                        "what is before the servers, such as rtt=60ms,loss=5%; the other transports play over it too");
    command->add_option("--link-seed", options->link_seed, "what it loses")->capture_default_str();
    command->add_flag("--only", options->only, "with --link: --transport alone");
    command->add_option("--server-key", options->server_key, "key that the gates prove, instead of --data's server.pub");
    command->add_option("--module", options->module, "module of bots: a name, or a path")->capture_default_str();
    command->add_flag("--json", options->json, "the last line of stdout is the result as JSON");
    command->callback([options, &exit_code] { exit_code = run_bots(*options); });
}

}  // namespace gyre::cli
