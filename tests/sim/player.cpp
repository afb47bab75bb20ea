#include "tests/sim/player.hpp"

#include <algorithm>

namespace gyre::match {
void MatchClient::ticket(Ticket ticket) {
    if (on_ticket) on_ticket(ticket);
}
void MatchClient::lost(EntityId match, std::string reason) {
    if (on_lost) on_lost(match, reason);
}
}  // namespace gyre::match

namespace gyre::test {

Player::Player(SimCluster& cluster, sim::Machine& machine, EntityId id, std::uint64_t seed)
    : cluster_(cluster),
      machine_(machine),
      id_(id),
      random_(seed),
      scope_(std::make_unique<Scope>(machine.executor(), "player/" + std::to_string(id))) {
    match_events.on_ticket = [this](const match::Ticket& t) { ticket = t; };
    match_events.on_lost = [this](EntityId which, const std::string&) { lost.push_back(which); };
    arena_events.on_joined = [this](std::uint32_t slot) { slot_ = slot; };
    arena_events.on_snapshot = [this](arena::Snapshot&& snapshot) {
        ++snapshots;
        fighters_seen = std::max(fighters_seen, snapshot.fighters.size());
        for (const auto& fighter : snapshot.fighters)
            if (fighter.slot == slot_) input_seen = std::max(input_seen, fighter.last_input);
        seen_ = std::move(snapshot.fighters);
    };
    arena_events.on_over = [this](const arena::MatchOver& over) { results.emplace(over.match, over); };
    arena_events.on_rewarded = [this](const arena::AvatarStatus& status) {
        rewarded = status;
        best.gold = std::max(best.gold, status.gold);
        best.wins = std::max(best.wins, status.wins);
        best.matches = std::max(best.matches, status.matches);
    };
}

Task<> Player::sign_up(std::string name) {
    const auto reply = co_await sdk::register_account(machine_, cluster_.account(), name, password);
    id_ = reply.entity;
    token_ = reply.token;
}
Task<> Player::ask_token(std::string name, std::string secret) {
    token_ = (co_await sdk::log_in(machine_, cluster_.account(), name, secret)).token;
}
Task<> Player::log_in() {
    gate.reset();
    sdk::ConnectOptions options;
    options.endpoint = cluster_.gate(at_gate);
    options.server_key = cluster_.server_key();
    options.credential = token_.empty() ? cluster_.token(id_) : token_;
    gate.emplace(co_await sdk::Client::connect(machine_, *scope_, std::move(options)));
    gate->handle(match_events);
    gate->handle(arena_events);
    gate->on_closed([this](const Error& why) { gate_closed = why.code(); });
    (void)co_await status();
}

Task<arena::AvatarStatus> Player::status() { return gate->call<&arena::Avatar::status>(); }
Task<> Player::find_match() {
    ticket.reset();
    return gate->call<&match::Matchmaking::find_match>("duel");
}

Task<match::Ticket> Player::rejoin() { return gate->call<&match::Matchmaking::rejoin>(); }
Task<> Player::cancel() { return gate->call<&match::Matchmaking::cancel_match>(); }
Task<arena::ItemStack> Player::take_medal() {
    return gate->call<&arena::Bag::take>(arena::ItemId::medal, 1);
}
Task<> Player::fight_with(match::Ticket with) {
    co_await enter(std::move(with));
    co_await fight();
}

Task<> Player::until(std::function<bool()> held, Duration limit, std::string what) {
    const TimePoint end = machine_.now() + limit;
    while (!held()) {
        if (machine_.now() >= end) throw Error(errc::timed_out, what);
        co_await sleep(10ms);
    }
}

Task<match::Ticket> Player::wait_ticket(Duration limit) {
    co_await until([this] { return ticket || !in_gate(); }, limit, "no ticket");
    if (!ticket) throw Error(errc::disconnected, "the gate is gone: " + gate_closed);
    match::Ticket mine = *ticket;
    ticket.reset();
    co_return mine;
}

Task<> Player::enter(match::Ticket with) {
    battle.reset();
    match_ = with.match;
    sdk::ConnectOptions options;
    options.endpoint = with.address;
    options.server_key = cluster_.server_key();
    options.credential = with.ticket;
    battle.emplace(co_await sdk::Client::connect(machine_, *scope_, std::move(options)));
    battle->handle(arena_events);
    battle->on_closed([this](const Error& why) { battle_closed = why.code(); });
}

Task<> Player::fight() {
    while (in_battle() && std::find(lost.begin(), lost.end(), match_) == lost.end()) {
        battle->notify<&arena::Match::input>(next_input());
        co_await sleep(100ms);
    }
    battle.reset();
}

/// Runs after somebody and shoots.
arena::Input Player::next_input() {
    arena::Input input;
    input.sequence = ++sequence_;
    input.fire = true;
    const arena::FighterState *self = nullptr, *other = nullptr;
    for (const auto& fighter : seen_) {
        if (fighter.slot == slot_) self = &fighter;
        else if (fighter.health > 0) other = &fighter;
    }
    if (self && other) {
        input.aim_x = other->x - self->x;
        input.aim_y = other->y - self->y;
        input.move_x = input.aim_x + static_cast<float>(random_.below(5)) - 2;
        input.move_y = input.aim_y + static_cast<float>(random_.below(5)) - 2;
    }
    return input;
}

Task<> Player::wait_reward(Duration limit) {
    co_await until([this] { return rewarded || !in_gate(); }, limit, "no reward");
    if (!rewarded) throw Error(errc::disconnected, "the gate is gone: " + gate_closed);
}

Task<> Player::play() {
    if (!in_gate()) co_await log_in();
    rewarded.reset();
    co_await find_match();
    co_await enter(co_await wait_ticket());
    co_await fight();
    if (!results.contains(match_)) throw Error(errc::disconnected, "no result: " + battle_closed);
    co_await wait_reward();
}

Task<> Player::play_times(int matches) {
    for (int i = 0; i < matches; ++i) co_await play();
}

/// One try to get further, as a client that came back from anything would.
Task<> Player::round() {
    if (!in_gate()) co_await log_in();
    rewarded.reset();
    ticket.reset();
    const auto asked = co_await as_result(find_match());
    if (!asked) {
        if (!asked.error().is("already_playing")) throw asked.error();
        ticket = co_await gate->call<&match::Matchmaking::rejoin>();
    }
    co_await enter(co_await wait_ticket(3s));
    co_await fight();
    if (results.contains(match_)) co_await wait_reward();
}

Task<> Player::endure(std::uint32_t matches) {
    const auto all_done = [&] {
        for (std::size_t i = 0; i < cluster_.players(); ++i)
            if (cluster_.player(i).results.size() < matches) return false;
        return true;
    };
    while (!all_done()) {
        const auto tried = co_await as_result(round());
        if (tried) continue;
        if (tried.error().is(errc::cancelled)) throw tried.error();
        ++troubles;
        co_await sleep(200ms + Duration(random_.below(200'000'000)));
    }
}

Task<> Player::log_out() {
    const auto left = co_await as_result(gate->call<&arena::Avatar::logout>());
    // The session may end before the answer has left.
    if (!left && !left.error().is(errc::disconnected)) throw left.error();
    co_await until([this] { return !in_gate(); }, 5s, "still in after logout");
}

Task<> Player::keep(Task<> task) {
    const auto result = co_await as_result(std::move(task));
    if (!result) failure_ = result.error().what();
    done_ = true;
}
void Player::begin(Task<> task) {
    done_ = false;
    failure_.clear();
    (void)go(*scope_, keep(std::move(task)));
}
Task<> Player::end() {
    co_await scope_->close();
    gate.reset();
    battle.reset();
}
std::string Player::describe() const {
    return "player " + std::to_string(id_) + ": results=" + std::to_string(results.size()) +
           " troubles=" + std::to_string(troubles) + " gate_closed=" + gate_closed +
           " battle_closed=" + battle_closed + "\n" + scope_->describe_tasks();
}

}  // namespace gyre::test
