#include <gyre/io/datagram.hpp>
#include <gyre/io/loop.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/node/process.hpp>
#include <gyre/sim/link.hpp>

#include <csignal>
#include <cstdio>
#include <map>
#include <unordered_map>

#include "commands.hpp"
#include "duration.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {
constexpr std::size_t under_way_bytes_max = 64 << 20;
constexpr Duration silent_client = 30s;

struct RelayConfig {
    io::SocketAddress to;
    sim::LinkConfig up, down;
    std::uint64_t seed = 1;
    std::size_t clients_max = 1000;
};

/// What the link did to one direction of all clients.
struct Direction {
    sim::LinkCounters link;
    std::uint64_t delivered = 0, delivered_bytes = 0;
    std::uint64_t dropped = 0;  ///< By the relay: too much under way, or nobody to give it to.
};

/// Carries datagrams between clients and one server over a link for each client.
class Relay final : private Timer, private io::DatagramHandler {
public:
    Relay(io::Io& io, RelayConfig config, std::unique_ptr<io::DatagramSocket> door)
        : Timer(io.executor(), [](Timer& timer) { static_cast<Relay&>(timer).deliver_due(); }),
          io_(io), config_(std::move(config)), door_(std::move(door)) {
        door_->start(*this);
    }

    Direction up() const { return total(up_, &Client::up); }
    Direction down() const { return total(down_, &Client::down); }
    std::uint64_t clients_seen() const { return clients_seen_; }
    std::uint64_t clients_refused() const { return clients_refused_; }
    std::uint64_t rebinds() const { return rebinds_; }
    std::size_t under_way() const { return under_way_.size(); }

private:
    /// A client: its two links, and the port the server sees.
    struct Client final : io::DatagramHandler {
        Client(Relay& r, io::SocketAddress a, std::uint64_t seed)
            : relay(r), address(a), up(r.config_.up, seed), down(r.config_.down, seed + 1) {}
        void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override {
            relay.from_server(*this, from, bytes);
        }
        Relay& relay;
        const io::SocketAddress address;
        sim::LinkModel up, down;
        std::unique_ptr<io::DatagramSocket> socket;
        std::uint64_t binding = 0;
        TimePoint heard_at{};
    };
    struct UnderWay {
        std::uint64_t client;
        bool up;
        Bytes bytes;
    };

    void on_datagram(const io::SocketAddress& from, std::span<std::uint8_t> bytes) override {
        Client* client = find_client(from);
        if (!client || !bind(*client)) {
            ++up_.dropped;
            return;
        }
        client->heard_at = io_.now();
        carry(*client, true, bytes);
    }

    void from_server(Client& client, const io::SocketAddress& from, BytesView bytes) {
        if (from != config_.to) return;  // a NAT lets nobody else in
        if (client.binding != client.up.binding(io_.now())) {
            ++down_.dropped;  // to a port that is no more
            return;
        }
        carry(client, false, bytes);
    }

    Client* find_client(const io::SocketAddress& from) {
        const auto found = clients_.find(from.as_integer());
        if (found != clients_.end()) return found->second.get();
        if (clients_.size() >= config_.clients_max) forget_silent();
        if (clients_.size() >= config_.clients_max) {
            ++clients_refused_;
            return nullptr;
        }
        const std::uint64_t seed =
            sim::Random(config_.seed).fork("client", clients_seen_++).next();
        return clients_.emplace(from.as_integer(), std::make_unique<Client>(*this, from, seed))
            .first->second.get();
    }

    void forget_silent() {
        std::erase_if(clients_, [this](const auto& entry) {
            const Client& client = *entry.second;
            if (io_.now() - client.heard_at < silent_client) return false;
            up_.link += client.up.counters();
            down_.link += client.down.counters();
            return true;
        });
    }

    /// The socket toward the server, another one when the NAT's binding has changed.
    bool bind(Client& client) {
        const std::uint64_t binding = client.up.binding(io_.now());
        if (client.socket && client.binding == binding) return true;
        auto socket = io_.bind({config_.to.ip >> 24 == 127 ? "127.0.0.1" : "0.0.0.0", 0});
        if (!socket) return false;
        if (client.socket) ++rebinds_;
        client.socket = std::move(*socket);
        client.socket->start(client);
        client.binding = binding;
        return true;
    }

    void carry(Client& client, bool up, BytesView bytes) {
        Direction& direction = up ? up_ : down_;
        if (bytes.size() > io::datagram_out_bytes_max) {
            ++direction.dropped;
            return;
        }
        const auto fate = (up ? client.up : client.down).pass(io_.now(), bytes.size());
        for (unsigned copy = 0; copy < fate.copies; ++copy) {
            if (under_way_bytes_ + bytes.size() > under_way_bytes_max) {
                ++direction.dropped;
                continue;
            }
            under_way_bytes_ += bytes.size();
            under_way_.emplace(
                std::pair(fate.at[copy], serial_++),
                UnderWay{client.address.as_integer(), up, Bytes(bytes.begin(), bytes.end())});
        }
        if (fate.copies > 0) arm(under_way_.begin()->first.first);
    }

    void deliver_due() {
        while (!under_way_.empty() && under_way_.begin()->first.first <= io_.now()) {
            const UnderWay next = std::move(under_way_.extract(under_way_.begin()).mapped());
            under_way_bytes_ -= next.bytes.size();
            deliver(next);
        }
        if (!under_way_.empty()) arm(under_way_.begin()->first.first);
    }

    void deliver(const UnderWay& next) {
        Direction& direction = next.up ? up_ : down_;
        const auto found = clients_.find(next.client);
        // Forgotten meanwhile, or back and without a port: what was under way has nobody to send it.
        if (found == clients_.end() || (next.up && !found->second->socket)) {
            ++direction.dropped;
            return;
        }
        Client& client = *found->second;
        if (next.up) client.socket->send(config_.to, next.bytes);
        else door_->send(client.address, next.bytes);
        ++direction.delivered;
        direction.delivered_bytes += next.bytes.size();
    }

    Direction total(Direction sum, sim::LinkModel Client::* way) const {
        for (const auto& [address, client] : clients_) sum.link += ((*client).*way).counters();
        return sum;
    }

    io::Io& io_;
    const RelayConfig config_;
    std::unique_ptr<io::DatagramSocket> door_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients_;
    std::map<std::pair<TimePoint, std::uint64_t>, UnderWay> under_way_;
    std::size_t under_way_bytes_ = 0;
    std::uint64_t serial_ = 0, clients_seen_ = 0, clients_refused_ = 0, rebinds_ = 0;
    Direction up_, down_;  // links of clients that are gone; the rest of all
};

/// The columns of the table, the keys of the JSON.
std::vector<std::pair<std::string, std::uint64_t>> figures(const Direction& direction) {
    const sim::LinkCounters& link = direction.link;
    return {{"received", link.datagrams},
            {"delivered", direction.delivered},
            {"loss", link[sim::LinkReason::loss]},
            {"burst", link[sim::LinkReason::burst]},
            {"outage", link[sim::LinkReason::outage]},
            {"queue", link[sim::LinkReason::queue_full]},
            {"mtu", link[sim::LinkReason::too_large]},
            {"relay", direction.dropped},
            {"duplicated", link.duplicated},
            {"reordered", link.reordered},
            {"bytes", direction.delivered_bytes}};
}

void print_table(const Relay& relay) {
    std::vector<std::vector<std::string>> rows(1, {"DIRECTION"});
    std::vector<std::size_t> right;
    for (const auto& [name, direction] : {std::pair("up", relay.up()), {"down", relay.down()}}) {
        rows.push_back({name});
        for (const auto& [key, count] : figures(direction)) {
            if (rows.size() == 2) {
                std::string heading = key;
                for (char& c : heading) c = static_cast<char>(std::toupper(c));
                right.push_back(rows[0].size());
                rows[0].push_back(heading);
            }
            rows.back().push_back(std::to_string(count));
        }
    }
    std::fputs(table(1, rows, right).c_str(), stdout);
    std::printf("%llu clients, %llu refused, %llu rebinds, %zu datagrams under way\n",
                static_cast<unsigned long long>(relay.clients_seen()),
                static_cast<unsigned long long>(relay.clients_refused()),
                static_cast<unsigned long long>(relay.rebinds()), relay.under_way());
}

void print_json(const Relay& relay) {
    std::string line = "{";
    for (const auto& [name, direction] : {std::pair("up", relay.up()), {"down", relay.down()}}) {
        line += "\"" + std::string(name) + "\":{";
        for (const auto& [key, count] : figures(direction))
            line += "\"" + key + "\":" + std::to_string(count) + ",";
        line.back() = '}';
        line += ",";
    }
    line += "\"clients\":" + std::to_string(relay.clients_seen()) +
            ",\"refused\":" + std::to_string(relay.clients_refused()) +
            ",\"rebinds\":" + std::to_string(relay.rebinds()) +
            ",\"under_way\":" + std::to_string(relay.under_way()) + "}";
    std::printf("%s\n", line.c_str());
}

RelayConfig configure(const LinkOptions& options) {
    const auto direction = [&](const std::string& own, const char* name) {
        auto parsed = sim::parse_link(own.empty() ? options.link : own);
        if (!parsed)
            throw Error(errc::bad_arguments,
                        std::string(own.empty() ? "--link" : name) + ": " + parsed.error().message());
        return *parsed;
    };
    RelayConfig config;
    config.up = direction(options.up, "--up");
    config.down = direction(options.down, "--down");
    config.to = io::SocketAddress::of(io::Endpoint::parse(options.to).value()).value();
    config.seed = options.seed;
    config.clients_max = options.clients;
    if (config.to.port == 0)
        throw Error(errc::bad_arguments, "--to " + options.to + ": expected a port");
    return config;
}

}  // namespace

int link(const LinkOptions& options) {
    RelayConfig config;
    io::Endpoint at;
    Duration limit{};
    try {
        config = configure(options);
        at = io::Endpoint::parse(options.listen).value();
        if (!options.limit.empty()) limit = read_duration(options.limit, "--for");
    } catch (const Error& error) {
        say(error.message());
        return node::exit_code::refused;
    }
    log::set_level(log::Level::error);
    io::Loop loop;
    auto door = loop.bind(at);
    if (!door) {
        say(door.error().message());
        return node::exit_code::refused;
    }
    loop.on_signal({SIGINT, SIGTERM}, [&loop](int) { loop.stop(); });
    say("link " + (*door)->local().to_string() + " -> " + config.to.endpoint().to_string());
    Relay relay(loop, std::move(config), std::move(*door));
    Alarm end(loop.executor(), [&loop] { loop.stop(); });
    if (limit > Duration::zero()) end.in(limit);
    loop.run();
    if (options.json) print_json(relay);
    else print_table(relay);
    std::fflush(stdout);
    return node::exit_code::ok;
}

}  // namespace gyre::cli
