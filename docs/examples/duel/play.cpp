// duel_play ACCOUNT GATE SERVER_KEY NAME: one player who registers, plays one duel and says how it went.
#include <gyre/io/loop.hpp>
#include <gyre/task/sync.hpp>
#include <gyre_sdk/account.hpp>
#include <gyre_sdk/client.hpp>

#include <cstdio>

#include "duel.hpp"

using namespace gyre;

// What a client does with the news of matching.
void match::MatchClient::ticket(match::Ticket ticket) { on_ticket(ticket); }
void match::MatchClient::lost(EntityId match, std::string reason) { on_lost(match, reason); }

static Task<> play(io::Io& io, Scope& scope, io::Endpoint account, io::Endpoint gate, secure::PublicKey key,
                   std::string name) {
    const auto login = co_await sdk::register_account(io, account, name, "a password");

    Queue<match::Ticket> tickets(1);
    Queue<std::int64_t> paid(1);
    match::MatchClient matching;  // Handlers stand before the client that uses them: they outlive it.
    matching.on_ticket = [&](const match::Ticket& ticket) { (void)tickets.try_push(ticket); };
    matching.on_lost = [&](EntityId, const std::string& why) { std::printf("lost: %s\n", why.c_str()); };
    duel::DuelClient duel;
    duel.on_over = [](std::uint32_t mine, std::uint32_t theirs) { std::printf("%u against %u\n", mine, theirs); };
    duel.on_paid = [&](std::int64_t gold) { (void)paid.try_push(gold); };

    auto lobby = co_await sdk::Client::connect(io, scope, {gate, key, login.token});
    lobby.handle(matching);
    lobby.handle(duel);
    co_await lobby.call<&match::Matchmaking::find_match>("duel");
    const auto ticket = co_await tickets.pop();

    auto battle = co_await sdk::Client::connect(io, scope, {ticket.address, key, ticket.ticket});
    battle.handle(duel);
    const std::uint32_t rolled = co_await battle.call<&duel::Duel::roll>();
    std::printf("%s rolled %u\n", name.c_str(), rolled);
    co_await battle.closed();
    const auto gold = co_await as_result(with_timeout(std::chrono::seconds(2), paid.pop()));
    if (gold) std::printf("%s has %lld gold\n", name.c_str(), static_cast<long long>(*gold));
}

int main(int argc, char** argv) try {
    if (argc != 5) return std::fprintf(stderr, "duel_play ACCOUNT GATE SERVER_KEY NAME\n"), 2;
    io::Loop loop;
    NodeIdentity identity;
    identity.name = argv[4];
    Context context;
    context.node = &identity;
    Scope scope(loop.executor(), "client", context);
    loop.run_task(play(loop, scope, io::Endpoint::parse(argv[1]).value(), io::Endpoint::parse(argv[2]).value(),
                       secure::public_key_from_text(argv[3]).value(), argv[4]));
    loop.run_task(scope.close());
} catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
