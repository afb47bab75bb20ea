#pragma once
#include <sys/socket.h>
#include <gyre/io/datagram.hpp>
#include <gyre/io/detail/socket.hpp>
#include <vector>

namespace gyre::io::detail {

/// Where one system call puts what it reads. One for all sockets of a loop. The pages of a slot
/// are touched only by datagrams that long: the kernel joins runs of them up to 64 KiB (GRO).
struct DatagramInput {
    static constexpr std::size_t slots = 32;
    static constexpr std::size_t slot_bytes = 64 * 1024;
    static constexpr std::size_t stride = slot_bytes + 192;  // heads in different cache sets
    struct Control {
        alignas(cmsghdr) std::array<std::uint8_t,
                                    CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(std::uint32_t))>
            bytes;
    };
    DatagramInput();
    void renew(std::size_t count);  ///< The first `count` slots may be read into again.

    std::unique_ptr<std::uint8_t[]> memory;
    std::array<mmsghdr, slots> messages{};
    std::array<iovec, slots> pieces{};
    std::array<sockaddr_in, slots> from{};
    std::array<Control, slots> controls{};
};

class LoopDatagramSocket;

/// A bound UDP socket and the datagrams that wait for the end of the turn.
class DatagramSource final : public Source {
public:
    DatagramSource(Poller& poller, int fd, LoopDatagramSocket& socket);
    void start(DatagramHandler& handler);
    void send(const SocketAddress& to, BytesView bytes);
    void close() noexcept;
    void on_events(std::uint32_t events) override;
    void retire() noexcept override;

    DatagramCounters counters;

private:
    struct Datagram {
        SocketAddress to;
        std::uint16_t bytes;
    };
    struct Run;
    struct Batch;
    struct Flush : Ready {
        explicit Flush(DatagramSource& s)
            : Ready([](Ready& r) { static_cast<Flush&>(r).source.flush(); }), source(s) {}
        DatagramSource& source;
    };
    void read();
    bool deliver(mmsghdr& message, const sockaddr_in& from);
    void flush();
    bool send_some();
    void gather(Batch& batch) const;
    bool survive(int error, std::size_t run);
    void leave(std::size_t datagrams);

    LoopDatagramSocket* socket_;
    DatagramHandler* handler_ = nullptr;
    Flush flush_{*this};
    std::vector<Datagram> waiting_;  // from next_
    Bytes bytes_;                    // theirs, from head_
    std::size_t next_ = 0, head_ = 0;
    std::size_t one_by_one_ = 0;  // up to here: the kernel refused the run
    bool joins_ = false;          // the kernel cuts runs (UDP_SEGMENT)
    bool read_since_error_ = true;
    std::uint32_t overflows_ = 0;
};

class LoopDatagramSocket final : public DatagramSocket {
public:
    LoopDatagramSocket(Poller& poller, int fd);
    ~LoopDatagramSocket() override {
        if (source_) std::exchange(source_, nullptr)->close();
    }
    void start(DatagramHandler& handler) override;
    void send(const SocketAddress& to, BytesView bytes) override {
        if (source_) source_->send(to, bytes);
    }
    Endpoint local() const override { return local_; }
    const DatagramCounters& counters() const override {
        return source_ ? source_->counters : counters_;
    }

private:
    friend class DatagramSource;
    DatagramSource* source_;  // null: the loop is gone
    Endpoint local_;
    DatagramCounters counters_;
};

/// Errors: refused, in_use, bad_arguments.
Result<std::unique_ptr<DatagramSocket>> bind(Poller& poller, const Endpoint& at);

}  // namespace gyre::io::detail
