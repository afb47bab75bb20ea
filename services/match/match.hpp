#pragma once
#include <gyre/module/gyre.hpp>
#include <map>

namespace gyre::session {
struct Admission;
struct Credential;
}  // namespace gyre::session
namespace gyre::module {
struct SessionInfo;
}

namespace gyre::match {

/// One player of a match that is being made.
struct Player {
    EntityId avatar = 0;
    std::string name;
    static consteval auto describe() {
        return type<Player>("Player", field<&Player::avatar>(), field<&Player::name>());
    }
};

/// What a battle node is asked to run.
struct Plan {
    std::string mode;
    std::vector<Player> players;
    static consteval auto describe() {
        return type<Plan>("Plan", field<&Plan::mode>(), field<&Plan::players>());
    }
};

/// A match that a battle node has accepted.
struct Reservation {
    EntityId match = 0;
    std::string node;
    std::uint64_t incarnation = 0;
    io::Endpoint link;     ///< For nodes.
    io::Endpoint clients;  ///< For players.
    static consteval auto describe() {
        return type<Reservation>("Reservation", field<&Reservation::match>(),
                                 field<&Reservation::node>(), field<&Reservation::incarnation>(),
                                 field<&Reservation::link>(), field<&Reservation::clients>());
    }
};

/// What a ticket says, signed with the cluster's ticket key for the purpose "battle".
struct TicketClaims {
    EntityId match = 0;
    EntityId player = 0;
    std::string node;
    std::uint64_t incarnation = 0;
    std::int64_t expires_ms = 0;  ///< Since 1970.
    std::uint64_t number = 0;     ///< Used once.
    static consteval auto describe() {
        return type<TicketClaims>("TicketClaims", field<&TicketClaims::match>(),
                                  field<&TicketClaims::player>(), field<&TicketClaims::node>(),
                                  field<&TicketClaims::incarnation>(),
                                  field<&TicketClaims::expires_ms>(), field<&TicketClaims::number>());
    }
};
inline constexpr std::string_view ticket_purpose = "battle";
inline constexpr auto ticket_life = std::chrono::seconds(30);

/// The way into a match, for a client: connect to `address`, present `ticket`.
struct Ticket {
    EntityId match = 0;
    io::Endpoint address;
    std::string ticket;
    static consteval auto describe() {
        return type<Ticket>("Ticket", field<&Ticket::match>(), field<&Ticket::address>(),
                            field<&Ticket::ticket>());
    }
};

/// What the client of a game that plays matches answers; the client defines the methods.
struct MatchClient {
    std::function<void(const Ticket&)> on_ticket;
    std::function<void(EntityId, const std::string&)> on_lost;
    void ticket(Ticket ticket);                      ///< A match is ready.
    void lost(EntityId match, std::string reason);   ///< It ended without a result: find another.
    static consteval auto describe() {
        return type<MatchClient>("MatchClient", method<&MatchClient::ticket>(Caller::anyone),
                                 method<&MatchClient::lost>(Caller::anyone));
    }
};

/// What the match entity of a game answers to the battle service: only its name and calls.
struct MatchEntity {
    Task<> open(Plan plan);
    Task<> join(EntityId player, ClientRef client);  ///< Error: forbidden, for a stranger.
    Task<> leave(EntityId player, std::uint64_t session);
    static consteval auto describe() {
        return type<MatchEntity>("Match", method<&MatchEntity::open>(), method<&MatchEntity::join>(),
                                 method<&MatchEntity::leave>());
    }
};

struct QueueEntry {
    EntityId avatar = 0;
    std::string name;
    std::string mode;
    io::Endpoint lobby;
    std::uint64_t number = 0;  ///< Of this time in the queue.
    static consteval auto describe() {
        return type<QueueEntry>("QueueEntry", field<&QueueEntry::avatar>(),
                                field<&QueueEntry::name>(), field<&QueueEntry::mode>(),
                                field<&QueueEntry::lobby>(), field<&QueueEntry::number>());
    }
};

struct DispatcherStatus {
    std::uint64_t waiting = 0, matches = 0, refused = 0;
    static consteval auto describe() {
        return type<DispatcherStatus>("DispatcherStatus", field<&DispatcherStatus::waiting>(),
                                      field<&DispatcherStatus::matches>(),
                                      field<&DispatcherStatus::refused>());
    }
};

/// Groups players and finds them a battle node. Code: services/dispatcher.
struct Dispatcher : Service<Dispatcher> {
    static constexpr std::string_view role = "dispatcher";
    Task<> on_start();
    /// Queued once; again: still there. Lobbies repeat it every second, else the entry expires.
    void enqueue(QueueEntry entry);
    /// Ends one time in the queue, also for repeats of it that come late. False: not waiting.
    bool cancel(EntityId avatar, std::uint64_t number);
    Task<> pair();
    DispatcherStatus status();
    static consteval auto describe() {
        return type<Dispatcher>("Dispatcher", method<&Dispatcher::enqueue>(),
                                method<&Dispatcher::cancel>(),
                                method<&Dispatcher::pair>(serial), method<&Dispatcher::status>(),
                                field<&Dispatcher::waiting_>(), field<&Dispatcher::ended_>(),
                                field<&Dispatcher::matches_>(), field<&Dispatcher::refused_>());
    }

private:
    struct Waiting {
        QueueEntry entry;
        TimePoint since, refreshed;
        static consteval auto describe() {
            return type<Waiting>("Waiting", field<&Waiting::entry>(), field<&Waiting::since>(),
                                 field<&Waiting::refreshed>());
        }
    };
    Task<bool> reserve(std::string mode, std::vector<QueueEntry> group);
    Task<> tell(QueueEntry to, Reservation found);
    bool end(EntityId avatar, std::uint64_t number);
    std::vector<Waiting> waiting_;
    std::map<std::uint64_t, TimePoint> ended_;  // numbers whose repeats may still be on the way
    std::uint64_t matches_ = 0, refused_ = 0;
};

struct BattleStatus {
    std::uint64_t matches = 0, players = 0;
    static consteval auto describe() {
        return type<BattleStatus>("BattleStatus", field<&BattleStatus::matches>(),
                                  field<&BattleStatus::players>());
    }
};

/// Runs matches and their clients. Code: services/battle.
struct Battle : Service<Battle> {
    static constexpr std::string_view role = "battle";
    Task<> on_start();
    Task<> on_stop();
    void on_config_changed();
    Task<Reservation> reserve(Plan plan);  ///< Error: overloaded.
    /// Waits until the match is no more: its caller hears `disconnected` when this node dies.
    /// Error: entity_gone, when it died with a former start of this node, which had `incarnation`.
    Task<> wait_end(EntityId match, std::uint64_t incarnation);
    BattleStatus status();
    void report();

    // Of the door.
    /// A ticket opens a session in one match.
    Task<session::Admission> admit(session::Credential credential);
    Task<> joined(module::SessionInfo client);
    void enter(module::SessionInfo client);
    void left(module::SessionInfo client);

    static consteval auto describe() {
        return type<Battle>("Battle", field<&Battle::entity_>(), field<&Battle::used_>(),
                            method<&Battle::reserve>(), method<&Battle::wait_end>(),
                            method<&Battle::status>(), method<&Battle::report>(),
                            method<&Battle::admit>(), method<&Battle::joined>(),
                            method<&Battle::enter>(), method<&Battle::left>());
    }

private:
    std::string entity_;                          // the type that runs a match
    std::map<std::uint64_t, std::int64_t> used_;  // number of a ticket -> when it expires anyway, ms
};

}  // namespace gyre::match
