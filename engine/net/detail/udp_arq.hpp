#pragma once
#include <gyre/net/detail/block_pool.hpp>
#include <gyre/net/kcp.hpp>
#include <gyre/net/rudp.hpp>

namespace gyre::net::udp {

/// What makes messages of the datagrams of a link.
class Arq {
public:
    virtual ~Arq() = default;
    /// Error: bad_data; the link goes on unless it is dead().
    virtual Result<> input(std::uint64_t number, BytesView datagram, TimePoint now) = 0;
    virtual Result<> send(BytesView message, Delivery how, TimePoint now) = 0;
    virtual bool receive(Bytes& message) = 0;
    virtual void hold(bool held) = 0;
    virtual bool held() const = 0;
    virtual TimePoint update(TimePoint now) = 0;
    virtual void ask(TimePoint now) = 0;  ///< Asks the peer whether it is there.
    virtual void trim() = 0;
    virtual bool dead() const = 0;
    virtual bool idle() const = 0;
    virtual std::size_t queued_bytes() const = 0;
    virtual LinkStats stats() const = 0;
};

class KcpArq final : public Arq {
public:
    KcpArq(std::uint32_t conv, const KcpConfig& config, KcpPool& pool, KcpOutput& output) : kcp_(conv, config, pool, output) {}
    Result<> input(std::uint64_t, BytesView datagram, TimePoint now) override { return kcp_.input(datagram, now); }
    Result<> send(BytesView message, Delivery, TimePoint) override { return kcp_.send(message); }
    bool receive(Bytes& message) override { return kcp_.receive(message); }
    void hold(bool held) override { kcp_.hold(held); }
    bool held() const override { return kcp_.held(); }
    TimePoint update(TimePoint now) override { return kcp_.update(now); }
    void ask(TimePoint now) override {
        kcp_.ask();
        kcp_.flush(now);
    }
    void trim() override { kcp_.trim(); }
    bool dead() const override { return kcp_.dead(); }
    bool idle() const override { return kcp_.idle(); }
    std::size_t queued_bytes() const override { return kcp_.queued_bytes(); }
    LinkStats stats() const override {
        LinkStats stats = kcp_.stats();
        stats.transport = "kcp";
        return stats;
    }

private:
    Kcp kcp_;
};

class RudpArq final : public Arq {
public:
    RudpArq(const RudpConfig& config, BlockPool& pool, RudpOutput& output) : rudp_(config, pool, output) {}
    Result<> input(std::uint64_t number, BytesView plain, TimePoint now) override { return rudp_.input(number, plain, now); }
    Result<> send(BytesView message, Delivery how, TimePoint now) override { return rudp_.send(message, how, now); }
    bool receive(Bytes& message) override { return rudp_.receive(message); }
    void hold(bool held) override { rudp_.hold(held); }
    bool held() const override { return rudp_.held(); }
    TimePoint update(TimePoint now) override { return rudp_.update(now); }
    void ask(TimePoint now) override {
        rudp_.ask();
        (void)rudp_.update(now);
    }
    void trim() override { rudp_.trim(); }
    bool dead() const override { return rudp_.broken(); }
    bool idle() const override { return rudp_.idle(); }
    std::size_t queued_bytes() const override { return rudp_.queued_bytes(); }
    LinkStats stats() const override {
        LinkStats stats = rudp_.stats();
        stats.transport = "rudp";
        return stats;
    }

private:
    Rudp rudp_;
};

}  // namespace gyre::net::udp
