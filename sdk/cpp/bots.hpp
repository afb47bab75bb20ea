#pragma once
#include <gyre/metric/histogram.hpp>
#include <gyre_sdk/client.hpp>
#include <map>

namespace gyre::sdk {

namespace detail {
struct BotState;
}

/// One player of a load test, in the hands of the code that plays it. Cheap to copy; valid until
/// its `leave` has ended.
class Bot {
public:
    explicit Bot(detail::BotState& state) : state_(&state) {}

    std::uint32_t number() const;  ///< From 0.
    const std::string& name() const;
    io::Io& io() const;
    Scope& scope() const;  ///< Its tasks end before the bot does.
    Client& gate() const;  ///< Logged in.

    std::uint64_t random() const;  ///< From the seed of the run and the bot's number.
    double uniform() const;        ///< [0, 1)

    /// To another server. Comes back by itself while that is `overloaded`, 10 times.
    Task<Client> connect(io::Endpoint endpoint, std::string credential) const;

    void count_messages(std::uint64_t messages = 1) const;  ///< Sent or received.
    /// Played to its end. Each match counts once, however many bots were in it.
    void count_match(std::uint64_t match) const;
    /// From an input to the first state that shows it.
    void measured(Duration input_to_state) const;
    /// One error of the run, by kind: what was tried, then the code.
    void failed(std::string_view tried, const Error& error) const;

private:
    detail::BotState* state_;
};

/// What a module of bots exports: GYRE_BOTS("arena", play, ping, leave)
struct BotManifest {
    std::uint32_t api;
    const char* name;
    /// Plays one session, from log-in until it is cancelled: the time is up or the gate is gone.
    /// An Error it throws is counted and ends the session; another one follows.
    Task<> (*play)(Bot bot);
    /// One round trip through the gate: called once a second, timed, counted as two messages.
    Task<> (*ping)(Bot bot);
    /// Goodbye, after play has ended and the gate is still there; has 5 s.
    Task<> (*leave)(Bot bot);
};
inline constexpr std::uint32_t bot_api = 1;

struct BotOptions {
    std::uint32_t count = 100;      ///< [1, 20'000]
    Duration duration = 30s;        ///< From the log-in of the last bot.
    double ramp_per_s = 50;         ///< Log-ins begun in a second.
    std::uint64_t seed = 1;         ///< What bots choose, and their names: another seed, others.
    std::vector<io::Endpoint> accounts, gates;  ///< Bots are dealt to them in turn.
    Transport transport = Transport::tcp;
    secure::PublicKey server_key{};  ///< Of the gates and what they lead to.
    Duration give_up_after = 5min;   ///< Of one log-in, waits for a busy server included.
};

/// What a run came to. Errors count from its start; all else from the log-in of the last bot.
struct BotReport {
    std::uint32_t bots = 0;
    std::uint32_t logins = 0;  ///< Bots that were in when the measuring began.
    std::uint64_t matches_finished = 0;
    std::uint64_t messages = 0;
    std::uint64_t errors = 0;
    std::uint64_t busy = 0;  ///< Times a server asked to come back later: no error.
    Duration ramp{}, duration{};
    metric::Histogram rtt_us, input_to_state_us;
    struct Kind {
        std::uint64_t times = 0;
        std::string first;  ///< Its message, the first time.
    };
    std::map<std::string, Kind> error_kinds;

    /// {"bots":200,"logins":200,"matches_finished":..,"messages":..,"errors":0,"ramp_s":..,
    /// "duration_s":..,"rtt_ms":{"p50":..,"p95":..,"p99":..},"input_to_state_ms":{..}}
    std::string to_json_line() const;
    std::string summary() const;  ///< Some lines for people.
};

/// Players that come in through the front door: account, gate, and where the game sends them.
/// Use on the loop of `io`. Outlives its run().
class BotRun {
public:
    BotRun(io::Io& io, BotOptions options, BotManifest manifest);
    ~BotRun();
    BotRun(const BotRun&) = delete;

    Task<BotReport> run();
    void stop();  ///< Ends it early; run() says what it came to.

    const BotReport& report() const;  ///< So far.
    std::uint32_t logged_in() const;  ///< Now.
    bool measuring() const;           ///< All have come in.
    Duration measured_for() const;

    class Impl;

private:
    std::unique_ptr<Impl> impl_;
};

/// Errors: bad_arguments, names the option, its value and its range.
Result<> check(const BotOptions& options);

/// Of lib/gyre/modules/NAME.so beside the executable, or of NAME itself when it is a path. Its code
/// stays until the process ends. Errors: not_found (says where it looked), bad_data (no bots in it).
Result<BotManifest> load_bots(const std::string& name);

}  // namespace gyre::sdk

/// Once in a module of bots.
#define GYRE_BOTS(NAME, PLAY, PING, LEAVE)                                                          \
    extern "C" __attribute__((visibility("default"))) const gyre::sdk::BotManifest gyre_bots;       \
    const gyre::sdk::BotManifest gyre_bots{gyre::sdk::bot_api, NAME, PLAY, PING, LEAVE};
