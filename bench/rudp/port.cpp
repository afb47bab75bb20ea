#include "contender.hpp"

#include <gyre/net/detail/scripted_network.hpp>
#include <gyre/net/udp.hpp>
#include <set>

// Whole links of net::UdpPort: with their handshake and sealed, or standard KCP.
namespace gyre::bench {
namespace {

using net::detail::ScriptedNetwork;
const secure::Identity identity(secure::Key(secure::Seed{1}));
const io::SocketAddress server_at{0x0a000001, 7000};

class Port final : public Contender {
public:
    Port(net::UdpConfig config, Delivery how, Surroundings& around, std::uint64_t seed)
        : how_(how), around_(around), ends_{{*this, End::client}, {*this, End::server}},
          server_host_(network_, server_at.ip, 2 * seed), client_host_(network_, 0x0a000002, 2 * seed + 1) {
        config.at = server_at.endpoint();
        config.identity = identity;
        server_ = net::UdpPort::open(server_host_, config, [this](std::unique_ptr<net::Channel> channel, io::Endpoint, Bytes) {
            end(End::server).take(std::move(channel));
        }).value();
        standard_ = config.standard_kcp;
        config.at = {"10.0.0.2", 40'000};
        config.identity.reset();
        client_ = net::UdpPort::open(client_host_, config).value();
        network_.on_send = [this](const ScriptedNetwork::Datagram& datagram) {
            if (datagram.from == server_at) {
                if (datagram.to == client_at()) around_.transmit(End::server, datagram.bytes);  // else to a port of before
            } else {
                around_.transmit(End::client, datagram.bytes);
            }
            return false;
        };
    }
    void clock(TimePoint now) override {
        network_.executor.advance(now);
        if (std::exchange(begun_, true)) return;
        if (standard_) {
            end(End::client).take(client_->connect_kcp(server_at.endpoint(), 77).value());
            end(End::client).channel->send(Bytes(1));
        } else {
            (void)go(scope_, connect(this));
        }
    }
    bool ready() override { return end(End::client).channel && end(End::server).channel; }
    void send(End from, BytesView message) override {
        if (failure_.empty()) end(from).channel->send(message, how_);
    }
    void arrive(End at, BytesView datagram) override {
        at == End::server ? network_.inject(client_at(), server_at, datagram)
                          : network_.inject(server_at, {0x0a000002, 40'000}, datagram);
    }
    TimePoint step() override {
        do network_.turn();
        while (!network_.executor.idle());
        return network_.executor.next_deadline();
    }
    void rebind() override { ++client_port_; }
    std::optional<net::LinkStats> stats(End which) override { return end(which).channel->stats(); }
    std::string failure() override { return failure_; }

private:
    struct One final : net::ChannelHandler {
        One(Port& o, End w) : owner(o), which(w) {}
        void take(std::unique_ptr<net::Channel> c) {
            channel = std::move(c);
            channel->start(*this);
        }
        void on_message(BytesView message) override { owner.around_.deliver(which, message); }
        void on_closed(const Error& reason) override { owner.failure_ = reason.what(); }
        Port& owner;
        End which;
        std::unique_ptr<net::Channel> channel;
    };
    static Task<> connect(Port* self) {
        self->end(End::client).take((co_await self->client_->connect(server_at.endpoint(), identity.public_key(), {}, 5s)).channel);
    }
    io::SocketAddress client_at() const { return {0x0a000002, client_port_}; }
    One& end(End which) { return ends_[static_cast<std::size_t>(which)]; }

    Delivery how_;
    Surroundings& around_;
    bool standard_ = false, begun_ = false;
    std::uint16_t client_port_ = 40'000;
    std::string failure_;
    ScriptedNetwork network_;
    Scope scope_{network_.executor, "connect"};
    One ends_[2];
    ScriptedNetwork::Host server_host_, client_host_;
    std::unique_ptr<net::UdpPort> server_, client_;
};

}  // namespace

std::unique_ptr<Contender> make_port_contender(const std::string& name, Surroundings& around, std::uint64_t seed) {
    net::UdpConfig config;
    Delivery how;
    if (name == "kcp" || name == "kcp_first") {
        config.standard_kcp = true;
        config.kcp.eager = name == "kcp";
        return std::make_unique<Port>(config, how, around, seed);
    }
    std::set<std::string> words;
    for (std::size_t at = 0; at <= name.size(); at = name.find('_', at) == std::string::npos ? name.size() + 1 : name.find('_', at) + 1)
        words.insert(name.substr(at, name.find('_', at) - at));
    const auto says = [&](const char* word) { return words.erase(word) == 1; };
    if (!says("rudp")) return nullptr;
    if (says("economy")) how.care = Care::economy;
    if (says("urgent")) how.care = Care::urgent;
    if (says("unordered")) how.order = Order::unordered;
    if (says("list")) config.rudp.acks = net::AckForm::list;
    if (says("off")) config.rudp.redundancy = net::Redundancy::off;
    if (says("copies")) config.rudp.redundancy = net::Redundancy::copies;
    if (says("nocap")) config.rudp.cap = false;
    (void)says("bitmap"), (void)says("coded"), (void)says("balanced");
    if (!words.empty()) return nullptr;
    return std::make_unique<Port>(config, how, around, seed);
}

}  // namespace gyre::bench
