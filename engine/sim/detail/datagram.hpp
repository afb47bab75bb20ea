#pragma once
#include <gyre/sim/detail/host.hpp>

namespace gyre::sim::detail {

struct Packet {
    io::SocketAddress from, to;
    Bytes bytes;
};

/// A datagram socket of a machine: what its kernel holds for it, and what the turn gathers.
class SimDatagramSocket final : public io::DatagramSocket, private Ready {
public:
    SimDatagramSocket(Host& host, io::SocketAddress at);
    ~SimDatagramSocket() override;
    void start(io::DatagramHandler& handler) override;
    void send(const io::SocketAddress& to, BytesView bytes) override;
    io::Endpoint local() const override { return local_.endpoint(); }
    const io::DatagramCounters& counters() const override { return counters_; }

    bool takes(const io::SocketAddress& at) const;
    void arrive(Packet packet);
    void die();  ///< Its process did.

private:
    struct Flush : Ready {
        explicit Flush(SimDatagramSocket& s);
        SimDatagramSocket& socket;
    };
    void service();
    void flush();

    Host& host_;
    const io::SocketAddress local_;
    io::DatagramHandler* handler_ = nullptr;
    Flush flushing_;
    std::vector<Packet> gathered_;
    std::deque<Packet> arrived_;
    std::size_t arrived_bytes_ = 0;
    bool dead_ = false;
    bool* gone_ = nullptr;  // set while it delivers
    io::DatagramCounters counters_;
};

/// The datagrams under way, by the time of their arrival.
class DatagramNetwork : private Timer {
public:
    explicit DatagramNetwork(Core& core);
    void carry(Host& from, Packet packet);
    void link(Host& from, Host& to, const LinkConfig& config);
    LinkCounters counters(const Host& from, const Host& to);

private:
    /// One direction between two machines.
    struct Way {
        Random delay;
        TimePoint last{};
        std::unique_ptr<LinkModel> link;
        std::uint64_t links = 0;  // there have been
        // The sender's NAT: its ports as the other side sees them.
        std::uint64_t binding = 0;
        std::map<std::uint16_t, std::uint16_t> seen_as, stands_for;
        std::uint16_t next_port = 20'000;
    };
    struct UnderWay {
        Host* from;
        Host* to;
        Packet packet;
    };
    Way& way(const Host& from, const Host& to);
    void travel(Host& from, Host& to, Packet packet, TimePoint at);
    void renew_binding(Way& direction);
    std::uint16_t translate_out(Way& direction, std::uint16_t port);
    std::uint16_t translate_in(Way& direction, std::uint16_t port);
    void arrive();

    Core& core_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, Way> ways_;
    std::map<std::pair<TimePoint, std::uint64_t>, UnderWay> under_way_;
    std::uint64_t serial_ = 0;
};

}  // namespace gyre::sim::detail
