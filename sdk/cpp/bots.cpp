#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cmath>
#include <cstdio>
#include <gyre/base/hash.hpp>
#include <gyre/codec/json.hpp>
#include <gyre/task/sync.hpp>
#include <gyre_sdk/account.hpp>
#include <gyre_sdk/bots.hpp>
#include <unordered_set>

namespace gyre::sdk {
namespace {

constexpr Duration ping_period = 1s;
constexpr Duration leave_limit = 5s;
constexpr Duration again_after = 1s;  // a failed session
constexpr int connect_tries = 10;
constexpr std::string_view password = "bots have no secrets";

struct Quantiles {
    double p50 = 0, p95 = 0, p99 = 0;
    static consteval auto describe() {
        return type<Quantiles>("Quantiles", field<&Quantiles::p50>(), field<&Quantiles::p95>(),
                               field<&Quantiles::p99>());
    }
};
struct Line {
    std::uint32_t bots = 0, logins = 0;
    std::uint64_t matches_finished = 0, messages = 0, errors = 0;
    double ramp_s = 0, duration_s = 0;
    Quantiles rtt_ms, input_to_state_ms;
    static consteval auto describe() {
        return type<Line>("BotLine", field<&Line::bots>(), field<&Line::logins>(),
                          field<&Line::matches_finished>(), field<&Line::messages>(),
                          field<&Line::errors>(), field<&Line::ramp_s>(), field<&Line::duration_s>(),
                          field<&Line::rtt_ms>(), field<&Line::input_to_state_ms>());
    }
};

double rounded(double value) { return std::round(value * 1000) / 1000; }
double seconds(Duration value) { return rounded(static_cast<double>(value.count()) / 1e9); }
Quantiles quantiles(const metric::Histogram& us) {
    const auto ms = [&](double q) { return rounded(static_cast<double>(us.quantile(q)) / 1000); };
    return {ms(0.50), ms(0.95), ms(0.99)};
}

}  // namespace

namespace detail {

struct BotState {
    BotState(BotRun::Impl& r, std::uint32_t n, std::uint64_t seed);
    std::uint64_t random() { return mix(state += 0x9e3779b97f4a7c15u); }
    double uniform() { return static_cast<double>(random() >> 11) * 0x1p-53; }

    BotRun::Impl& run;
    const std::uint32_t number;
    const std::string name;
    std::uint64_t state;
    std::unique_ptr<Scope> scope;
    std::optional<Client> gate;
    Event ended;               // of the session
    std::optional<Error> why;  // it ended by itself
    bool settled = false;      // in once, or given up
};

}  // namespace detail

class BotRun::Impl {
public:
    using State = detail::BotState;

    Impl(io::Io& io_, BotOptions options_, BotManifest manifest_)
        : io(io_), options(std::move(options_)), manifest(manifest_) {
        report.bots = options.count;
    }

    Task<BotReport> run() {
        const TimePoint began = io.now();
        for (std::uint32_t i = 0; i < options.count; ++i)
            bots.push_back(std::make_unique<State>(*this, i, options.seed));
        Scope lives(io.executor(), "bots");
        std::vector<Join<>> jobs;
        for (auto& bot : bots) jobs.push_back(go(lives, live(bot.get())));
        // However it ends, what it started has ended before.
        const auto ended = co_await as_result(watch(began));
        {
            Shield shield;
            end_measuring();
            stopping = true;
            for (std::size_t i = 0; i < bots.size(); ++i) {
                if (bots[i]->gate) bots[i]->ended.set();
                else jobs[i].cancel();
            }
            for (auto& job : jobs) co_await job;
            co_await lives.close();
            bots.clear();
        }
        ended.value();
        co_return report;
    }

    void end_measuring() {
        if (measuring) report.duration = io.now() - measured_since;
        measuring = false;
    }
    void failed(std::string_view tried, const Error& error) {
        ++report.errors;
        auto& kind = report.error_kinds[std::string(tried) + ": " + error.code()];
        if (kind.times++ == 0) kind.first = error.message();
    }

    io::Io& io;
    const BotOptions options;
    const BotManifest manifest;
    BotReport report;
    std::unordered_set<std::uint64_t> matches;
    std::vector<std::unique_ptr<State>> bots;
    Event all_settled, stop;
    std::uint32_t settled = 0, logged_in = 0;
    bool measuring = false, stopping = false;
    TimePoint measured_since{};

private:
    Task<> watch(TimePoint began) {
        co_await all_settled.wait();
        report.ramp = io.now() - began;
        report.logins = logged_in;
        if (stop.is_set() || logged_in == 0) co_return;
        measured_since = io.now();
        measuring = true;
        const auto wait_stop = [](Event* end) -> Task<> { co_await end->wait(); };
        const auto stopped = co_await as_result(with_timeout(options.duration, wait_stop(&stop)));
        if (!stopped && !stopped.error().is(errc::timed_out)) throw stopped.error();
    }

    void settle(State* bot) {
        if (bot->settled) return;
        bot->settled = true;
        if (++settled == options.count) all_settled.set();
    }

    /// Sessions, one after the other, until the run ends.
    Task<> live(State* bot) {
        try {
            co_await sleep(std::chrono::duration_cast<Duration>(
                std::chrono::duration<double>(bot->number / options.ramp_per_s)));
            while (!stopping) {
                co_await session(bot);
                settle(bot);
                if (!stopping) co_await sleep(again_after);
            }
        } catch (const Error& error) {
            if (!error.is(errc::cancelled)) failed("bot", error);
        }
        settle(bot);
    }

    Task<> session(State* bot) {
        bot->ended.reset();
        bot->why.reset();
        bot->scope = std::make_unique<Scope>(io.executor(), bot->name);
        const auto opened = co_await as_result(open(bot));
        Shield shield;
        if (opened) {
            ++logged_in;
            settle(bot);
            co_await until_ended(bot);
            --logged_in;
        }
        bot->gate.reset();
        co_await bot->scope->close();
        bot->scope.reset();
        if (!opened) {
            if (opened.error().is(errc::cancelled)) throw opened.error();
            failed("log in", opened.error());
        }
    }

    Task<> until_ended(State* bot) {
        bot->gate->on_closed([bot](const Error& why) {
            bot->why = why;
            bot->ended.set();
        });
        auto playing = go(*bot->scope, play(bot));
        auto pinging = go(*bot->scope, ping(bot));
        co_await bot->ended.wait();
        co_await cancel_and_join(std::move(playing));
        co_await cancel_and_join(std::move(pinging));
        if (bot->why) {
            failed("gate", *bot->why);
            co_return;
        }
        const auto left = co_await as_result(with_timeout(leave_limit, manifest.leave(Bot(*bot))));
        if (!left) failed("leave", left.error());
    }

    Task<> open(State* bot) {
        const TimePoint limit = io.now() + options.give_up_after;
        LoginReply reply;
        for (bool known = false;;) {
            auto asked = co_await as_result(ask(bot, known));
            if (asked) {
                reply = *std::move(asked);
                break;
            }
            if (!known && (asked.error().is("name_taken") || asked.error().is(errc::conflict)))
                known = true;
            else
                co_await wait_if_busy(bot, asked.error(), limit);
        }
        ConnectOptions connect;
        connect.endpoint = options.gates[bot->number % options.gates.size()];
        connect.credential = reply.token;
        connect.server_key = options.server_key;
        connect.transport = options.transport;
        for (;;) {
            auto client = co_await as_result(Client::connect(io, *bot->scope, connect));
            if (client) {
                bot->gate.emplace(*std::move(client));
                co_return;
            }
            co_await wait_if_busy(bot, client.error(), limit);
        }
    }

    Task<LoginReply> ask(State* bot, bool known) {
        const auto& at = options.accounts[bot->number % options.accounts.size()];
        if (known) return log_in(io, at, bot->name, std::string(password), 15s);
        return register_account(io, at, bot->name, std::string(password), 15s);
    }

    /// Rethrows what waiting does not heal.
    Task<> wait_if_busy(State* bot, Error error, TimePoint limit) {
        if (!error.is(errc::overloaded) || io.now() >= limit) throw error;
        ++report.busy;
        co_await sleep(Duration(1s) + std::chrono::duration_cast<Duration>(
                                          std::chrono::duration<double>(bot->uniform())));
    }

    Task<> play(State* bot) {
        const auto played = co_await as_result(manifest.play(Bot(*bot)));
        if (!played && played.error().is(errc::cancelled)) throw played.error();
        if (!played && !bot->why) failed("play", played.error());
        bot->ended.set();
    }

    Task<> ping(State* bot) {
        co_await sleep(std::chrono::duration_cast<Duration>(ping_period * bot->uniform()));
        for (;;) {
            const TimePoint sent = io.now();
            const auto answered = co_await as_result(manifest.ping(Bot(*bot)));
            if (!answered) {
                if (answered.error().is(errc::cancelled)) throw answered.error();
                if (!bot->gate->open()) co_return;  // counted as such
                failed("ping", answered.error());
            } else if (measuring) {
                report.rtt_us.record(static_cast<std::uint64_t>((io.now() - sent) / 1us));
                report.messages += 2;
            }
            co_await sleep_until(std::max(sent + ping_period, io.now()));
        }
    }
};

namespace detail {
BotState::BotState(BotRun::Impl& r, std::uint32_t n, std::uint64_t seed)
    : run(r),
      number(n),
      name("bot-" + std::to_string(seed) + "-" + std::to_string(n)),
      state(mix(seed ^ mix(n + 1))) {}
}  // namespace detail

std::uint32_t Bot::number() const { return state_->number; }
const std::string& Bot::name() const { return state_->name; }
io::Io& Bot::io() const { return state_->run.io; }
Scope& Bot::scope() const { return *state_->scope; }
Client& Bot::gate() const { return *state_->gate; }
std::uint64_t Bot::random() const { return state_->random(); }
double Bot::uniform() const { return state_->uniform(); }

namespace {
Task<Client> connect_patiently(detail::BotState* bot, ConnectOptions options) {
    for (int tried = 1;; ++tried) {
        auto client = co_await as_result(Client::connect(bot->run.io, *bot->scope, options));
        if (client) co_return *std::move(client);
        if (!client.error().is(errc::overloaded) || tried == connect_tries) throw client.error();
        ++bot->run.report.busy;
        co_await sleep(std::chrono::duration_cast<Duration>(
            std::chrono::duration<double>(0.1 + 0.4 * bot->uniform())));
    }
}
}  // namespace

Task<Client> Bot::connect(io::Endpoint endpoint, std::string credential) const {
    ConnectOptions options;
    options.endpoint = std::move(endpoint);
    options.credential = std::move(credential);
    options.server_key = state_->run.options.server_key;
    options.transport = state_->run.options.transport;
    return connect_patiently(state_, std::move(options));
}
void Bot::count_messages(std::uint64_t messages) const {
    if (state_->run.measuring) state_->run.report.messages += messages;
}
void Bot::count_match(std::uint64_t match) const {
    auto& run = state_->run;
    if (run.measuring && run.matches.insert(match).second) ++run.report.matches_finished;
}
void Bot::measured(Duration input_to_state) const {
    if (state_->run.measuring)
        state_->run.report.input_to_state_us.record(
            static_cast<std::uint64_t>(input_to_state / 1us));
}
void Bot::failed(std::string_view tried, const Error& error) const {
    state_->run.failed(tried, error);
}

Result<> check(const BotOptions& options) {
    const auto bad = [](const std::string& text) { return Error(errc::bad_arguments, text); };
    if (options.count < 1 || options.count > 20'000)
        return bad("count: " + std::to_string(options.count) + " is outside [1, 20000]");
    if (options.duration < 1s || options.duration > 24h)
        return bad("duration: " + std::to_string(options.duration / 1s) +
                   "s is outside [1s, 86400s]");
    if (!(options.ramp_per_s >= 0.1 && options.ramp_per_s <= 10'000))
        return bad("ramp: " + std::to_string(options.ramp_per_s) + " is outside [0.1, 10000] a second");
    if (options.accounts.empty()) return bad("account: no account service to log in at");
    if (options.gates.empty()) return bad("gate: no gate to connect to");
    return {};
}

Result<BotManifest> load_bots(const std::string& name) {
    std::string path = name;
    if (name.find('/') == std::string::npos) {
        char self[PATH_MAX];
        const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
        const std::string executable(self, n > 0 ? static_cast<std::size_t>(n) : 0);
        path = executable.substr(0, executable.rfind('/')) + "/../lib/gyre/modules/" + name + ".so";
    }
    if (::access(path.c_str(), R_OK) != 0)
        return Error(errc::not_found, "bots " + name + ": no file " + path);
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return Error(errc::bad_data, "bots " + name + ": " + ::dlerror());
    const auto* manifest = static_cast<const BotManifest*>(::dlsym(library, "gyre_bots"));
    if (!manifest)
        return Error(errc::bad_data, "bots " + path + ": no module of bots, it exports no gyre_bots");
    if (manifest->api != bot_api)
        return Error(errc::bad_data, "bots " + path + ": built for API " + std::to_string(manifest->api) +
                                         ", this is " + std::to_string(bot_api));
    return *manifest;
}

std::string BotReport::to_json_line() const {
    return to_json(Line{bots, logins, matches_finished, messages, errors, seconds(ramp),
                        seconds(duration), quantiles(rtt_us), quantiles(input_to_state_us)});
}

std::string BotReport::summary() const {
    char text[512];
    const auto times = [](const char* what, const metric::Histogram& us) {
        char line[160];
        const auto q = quantiles(us);
        std::snprintf(line, sizeof line, "%-18s p50 %.2f ms  p95 %.2f ms  p99 %.2f ms  max %.2f ms  (%llu)\n",
                      what, q.p50, q.p95, q.p99, static_cast<double>(us.max()) / 1000,
                      static_cast<unsigned long long>(us.count()));
        return std::string(line);
    };
    const double span_s = seconds(duration);
    std::snprintf(text, sizeof text,
                  "%-18s %u of %u logged in within %.1f s (%llu times told to wait)\n"
                  "%-18s %.1f s\n%-18s %llu finished\n%-18s %llu (%.0f a second)\n",
                  "bots", logins, bots, seconds(ramp), static_cast<unsigned long long>(busy),
                  "measured", span_s, "matches", static_cast<unsigned long long>(matches_finished),
                  "messages", static_cast<unsigned long long>(messages),
                  span_s > 0 ? static_cast<double>(messages) / span_s : 0.0);
    std::string all = text + times("round trip", rtt_us) + times("input to state", input_to_state_us);
    std::snprintf(text, sizeof text, "%-18s %llu\n", "errors", static_cast<unsigned long long>(errors));
    all += text;
    for (const auto& [kind, what] : error_kinds)
        all += "  " + std::to_string(what.times) + " x " + kind + " (" + what.first + ")\n";
    return all;
}

BotRun::BotRun(io::Io& io, BotOptions options, BotManifest manifest)
    : impl_(std::make_unique<Impl>(io, std::move(options), manifest)) {
    GYRE_ASSERT(check(impl_->options).ok(), "options were checked");
}
BotRun::~BotRun() = default;
Task<BotReport> BotRun::run() { return impl_->run(); }
void BotRun::stop() {
    impl_->stop.set();
    impl_->all_settled.set();
}
const BotReport& BotRun::report() const { return impl_->report; }
std::uint32_t BotRun::logged_in() const { return impl_->logged_in; }
bool BotRun::measuring() const { return impl_->measuring; }
Duration BotRun::measured_for() const {
    return impl_->measuring ? impl_->io.now() - impl_->measured_since : impl_->report.duration;
}

}  // namespace gyre::sdk
