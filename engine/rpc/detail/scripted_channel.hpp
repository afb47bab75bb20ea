#pragma once
#include <gyre/net/channel.hpp>

namespace gyre::rpc::detail {

/// A channel whose other side is a script: for tests and fuzzers.
class ScriptedChannel final : public net::Channel {
public:
    struct Wire {
        net::ChannelHandler* handler = nullptr;  ///< Null: closed or destroyed.
        std::vector<Bytes> sent;
        std::size_t unsent = 0;
        bool closed = false, paused = false;
        bool keeps_order = true;
        std::vector<Delivery> how;  // of each in sent
        void arrive(BytesView message) {
            if (handler) handler->on_message(message);
        }
        void end() {
            if (handler) std::exchange(handler, nullptr)->on_closed(Error(errc::disconnected, "end"));
        }
    };
    explicit ScriptedChannel(Wire& wire, std::size_t limit = 1 << 20) : wire_(wire), limit_(limit) {}
    ~ScriptedChannel() override { close(); }
    void start(net::ChannelHandler& handler) override { wire_.handler = &handler; }
    void send(BytesView message, Delivery how) override {
        GYRE_ASSERT(!message.empty() && message.size() <= limit_, "message within the limit");
        if (wire_.closed) return;
        wire_.sent.emplace_back(message.begin(), message.end());
        wire_.how.push_back(how);
    }
    bool keeps_order() const override { return wire_.keeps_order; }
    std::size_t unsent_bytes() const override { return wire_.unsent; }
    void pause(bool paused) override { wire_.paused = paused; }
    void close() noexcept override { wire_.closed = true, wire_.handler = nullptr; }
    std::string peer() const override { return "script"; }
    std::size_t max_message_bytes() const override { return limit_; }
    net::LinkStats stats() const override { return {}; }

private:
    Wire& wire_;
    std::size_t limit_;
};

}  // namespace gyre::rpc::detail
