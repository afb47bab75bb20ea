#pragma once
#include <gyre_sdk/account.hpp>
#include <gyre_sdk/client.hpp>
#include <set>

#include "games/arena/match.hpp"
#include "tests/sim/cluster.hpp"

namespace gyre::test {

/// A player with a client, as a good game would write it, and what it has seen.
class Player {
public:
    static constexpr const char* password = "correct horse";
    Player(SimCluster& cluster, sim::Machine& machine, EntityId id, std::uint64_t seed);

    EntityId id() const { return id_; }
    sim::Machine& machine() { return machine_; }

    // -- one step at a time; each throws what goes wrong ------------------------------------------
    Task<> sign_up(std::string name);    ///< A new account: its entity is the player from now on.
    Task<> ask_token(std::string name, std::string password);
    Task<> log_in();  ///< With the token of the account, or one of the test.
    Task<arena::AvatarStatus> status();
    Task<> find_match();
    Task<match::Ticket> wait_ticket(Duration limit = 30s);
    Task<> enter(match::Ticket ticket);    ///< Connects to the battle node.
    Task<> fight();                        ///< Inputs, until the match is over or its session gone.
    Task<> wait_reward(Duration limit = 20s);
    Task<> fight_with(match::Ticket ticket);  ///< enter and fight.
    Task<match::Ticket> rejoin();
    Task<> cancel();
    Task<arena::ItemStack> take_medal();
    /// All of it: log in when needed, one match, its reward.
    Task<> play();
    Task<> play_times(int matches);
    /// Until everybody has the results of `matches`, whatever goes wrong meanwhile.
    Task<> endure(std::uint32_t matches);
    Task<> log_out();
    /// Until `held()`. Error: timed_out, names `what`.
    Task<> until(std::function<bool()> held, Duration limit, std::string what);
    Task<> end();  ///< Ends what begin() started and drops the sessions.

    std::optional<sdk::Client> gate, battle;
    std::string at_gate = "gate_0";  ///< Where it logs in.
    match::MatchClient match_events;
    arena::ArenaClient arena_events;

    // -- what it has seen --------------------------------------------------------------------------
    std::optional<match::Ticket> ticket;    ///< The newest, until it is used.
    std::map<EntityId, arena::MatchOver> results;
    std::vector<EntityId> lost;
    std::optional<arena::AvatarStatus> rewarded;
    arena::AvatarStatus best;               ///< The most that was ever told to be stored.
    std::uint32_t troubles = 0;
    std::size_t fighters_seen = 0;          ///< In one snapshot.
    std::uint64_t snapshots = 0;
    std::uint32_t input_seen = 0;           ///< The newest own input that came back.
    std::string gate_closed, battle_closed; ///< Codes of the last ends.

    void begin(Task<> task);
    bool finished() const { return done_; }
    const std::string& failure() const { return failure_; }
    std::string describe() const;

private:
    Task<> keep(Task<> task);
    Task<> round();
    arena::Input next_input();
    bool in_gate() const { return gate && gate->open(); }
    bool in_battle() const { return battle && battle->open(); }

    SimCluster& cluster_;
    sim::Machine& machine_;
    EntityId id_;
    std::string token_;
    sim::Random random_;
    std::unique_ptr<Scope> scope_;
    std::uint32_t sequence_ = 0, slot_ = 0;
    std::vector<arena::FighterState> seen_;
    bool done_ = true;
    std::string failure_;
    EntityId match_ = 0;
};

}  // namespace gyre::test
