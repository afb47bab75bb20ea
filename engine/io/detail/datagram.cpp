#include <gyre/io/detail/datagram.hpp>

#include <netinet/udp.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace gyre::io::detail {
namespace {
constexpr std::size_t read_budget = 512;  // datagrams of one socket in one turn
constexpr std::size_t early_datagrams = 64;
constexpr std::size_t waiting_max = 4096;  // for the kernel
constexpr std::size_t run_datagrams_max = 64, run_bytes_max = 65'000;
constexpr int kernel_buffer_bytes = 4 << 20;

bool try_later(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

sockaddr_in to_kernel(const SocketAddress& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(address.ip);
    to.sin_port = htons(address.port);
    return to;
}
}  // namespace

DatagramInput::DatagramInput()
    : memory(std::make_unique_for_overwrite<std::uint8_t[]>(slots * stride)) {
    for (std::size_t i = 0; i < slots; ++i) {
        pieces[i] = {memory.get() + i * stride, slot_bytes};
        msghdr& head = messages[i].msg_hdr;
        head.msg_name = &from[i];
        head.msg_iov = &pieces[i];
        head.msg_iovlen = 1;
        head.msg_control = controls[i].bytes.data();
    }
    renew(slots);
}

void DatagramInput::renew(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        msghdr& head = messages[i].msg_hdr;
        head.msg_namelen = sizeof(sockaddr_in);
        head.msg_controllen = sizeof(Control);
        head.msg_flags = 0;
    }
}

DatagramSource::DatagramSource(Poller& poller, int fd, LoopDatagramSocket& socket)
    : Source(poller, fd), socket_(&socket) {
    int segment = 0;
    socklen_t size = sizeof segment;
    joins_ = ::getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &size) == 0;
    if (!poller.datagrams) poller.datagrams = std::make_unique<DatagramInput>();
}

void DatagramSource::start(DatagramHandler& handler) {
    GYRE_ASSERT(handler_ == nullptr, "a datagram socket starts once");
    handler_ = &handler;
    watch(watched() | EPOLLIN);
}

void DatagramSource::on_events(std::uint32_t events) {
    if (handler_) {
        if (events & (EPOLLIN | EPOLLERR)) read();
    } else if (events & EPOLLERR) {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size);  // forgets it
    }
    if (!retired() && (events & EPOLLOUT)) flush();
}

void DatagramSource::read() {
    DatagramInput& input = *poller().datagrams;
    const std::uint64_t before = counters.received;
    for (int failures = 0; !retired() && counters.received - before < read_budget;) {
        const int count =
            ::recvmmsg(fd(), input.messages.data(), DatagramInput::slots, 0, nullptr);
        if (count < 0) {
            // Else a peer of something sent before is gone, which is its own affair.
            if (try_later(errno) || ++failures > 8) break;
            continue;
        }
        ++counters.reads;
        ++poller().counters.reads;
        const auto filled = static_cast<std::size_t>(count);
        for (std::size_t i = 0; i < filled; ++i)
            if (!deliver(input.messages[i], input.from[i])) break;
        input.renew(filled);
        if (filled < DatagramInput::slots) break;
    }
    if (!retired() && counters.received != before) handler_->on_batch_end();
}

/// False: the socket was destroyed.
bool DatagramSource::deliver(mmsghdr& message, const sockaddr_in& from) {
    std::size_t left = message.msg_len, piece = left;
    msghdr& head = message.msg_hdr;
    for (cmsghdr* note = CMSG_FIRSTHDR(&head); note; note = CMSG_NXTHDR(&head, note)) {
        if (note->cmsg_level == IPPROTO_UDP && note->cmsg_type == UDP_GRO) {
            int size = 0;
            std::memcpy(&size, CMSG_DATA(note), sizeof size);
            if (size > 0) piece = static_cast<std::size_t>(size);
        } else if (note->cmsg_level == SOL_SOCKET && note->cmsg_type == SO_RXQ_OVFL) {
            std::uint32_t total = 0;
            std::memcpy(&total, CMSG_DATA(note), sizeof total);
            counters.dropped_unread += total - std::exchange(overflows_, total);
        }
    }
    const SocketAddress peer{ntohl(from.sin_addr.s_addr), ntohs(from.sin_port)};
    auto* bytes = static_cast<std::uint8_t*>(head.msg_iov->iov_base);
    poller().counters.read_bytes += left;
    do {
        const std::size_t size = std::min(piece, left);
        if (size > datagram_in_bytes_max) {
            ++counters.dropped_too_large;
        } else {
            ++counters.received;
            counters.received_bytes += size;
            handler_->on_datagram(peer, {bytes, size});
            if (retired()) return false;
        }
        bytes += size;
        left -= size;
    } while (left > 0);
    return true;
}

void DatagramSource::send(const SocketAddress& to, BytesView bytes) {
    GYRE_ASSERT(bytes.size() <= datagram_out_bytes_max, "a datagram has at most 1500 bytes");
    const std::size_t count = waiting_.size() - next_;
    if (count >= waiting_max) {
        ++counters.dropped_full;
        return;
    }
    waiting_.push_back({to, static_cast<std::uint16_t>(bytes.size())});
    append(bytes_, bytes);
    if (watched() & EPOLLOUT) return;
    if (count + 1 >= early_datagrams) return flush();
    poller().executor.at_turn_end(flush_);
}

void DatagramSource::flush() {
    const bool all = send_some();
    const auto without = watched() & ~static_cast<std::uint32_t>(EPOLLOUT);
    if (!all) watch(without | EPOLLOUT);
    else if (watched() & EPOLLOUT) watch(without);
}

/// What goes to one peer in one piece, cut by the kernel into datagrams of the first one's size.
struct DatagramSource::Run {
    sockaddr_in to;
    iovec piece;
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(std::uint16_t))> control;
};
struct DatagramSource::Batch {  // not initialized beyond `count`
    static constexpr std::size_t max = 64;
    std::size_t count = 0;
    std::array<std::size_t, max> datagrams;
    std::array<Run, max> runs;
    std::array<mmsghdr, max> messages;
};

void DatagramSource::gather(Batch& batch) const {
    std::size_t at = next_, offset = head_;
    for (; at < waiting_.size() && batch.count < Batch::max; ++batch.count) {
        const Datagram& first = waiting_[at];
        std::size_t end = at + 1, bytes = first.bytes;
        if (joins_ && at >= one_by_one_ && first.bytes > 0) {
            const std::size_t last = std::min(waiting_.size(), at + run_datagrams_max);
            bool full = true;  // only the last of a run may be smaller
            while (end < last && full && waiting_[end].to == first.to &&
                   waiting_[end].bytes <= first.bytes && waiting_[end].bytes > 0 &&
                   bytes + waiting_[end].bytes <= run_bytes_max) {
                full = waiting_[end].bytes == first.bytes;
                bytes += waiting_[end++].bytes;
            }
        }
        Run& run = batch.runs[batch.count];
        run.to = to_kernel(first.to);
        run.piece = {const_cast<std::uint8_t*>(bytes_.data() + offset), bytes};
        msghdr& head = batch.messages[batch.count].msg_hdr;
        head = {&run.to, sizeof run.to, &run.piece, 1, nullptr, 0, 0};
        if (end - at > 1) {
            head.msg_control = run.control.data();
            head.msg_controllen = sizeof run.control;
            cmsghdr* note = CMSG_FIRSTHDR(&head);
            note->cmsg_level = IPPROTO_UDP;
            note->cmsg_type = UDP_SEGMENT;
            note->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
            std::memcpy(CMSG_DATA(note), &first.bytes, sizeof(std::uint16_t));
        }
        batch.datagrams[batch.count] = end - at;
        offset += bytes;
        at = end;
    }
}

/// False: the kernel is full.
bool DatagramSource::send_some() {
    while (next_ < waiting_.size()) {
        Batch batch;
        gather(batch);
        ++counters.sends;
        ++poller().counters.sends;
        const int count = ::sendmmsg(fd(), batch.messages.data(),
                                     static_cast<unsigned>(batch.count), MSG_NOSIGNAL);
        if (count < 0) {
            const int error = errno;
            if (try_later(error)) break;
            if (survive(error, batch.datagrams[0])) continue;
            counters.dropped_refused += batch.datagrams[0];
            leave(batch.datagrams[0]);
            continue;
        }
        read_since_error_ = true;
        std::size_t datagrams = 0, bytes = 0;
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
            datagrams += batch.datagrams[i];
            bytes += batch.runs[i].piece.iov_len;
        }
        counters.sent += datagrams;
        counters.sent_bytes += bytes;
        poller().counters.sent_bytes += bytes;
        leave(datagrams);
    }
    if (next_ < waiting_.size()) {
        if (next_ >= waiting_max / 4) {
            waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(next_));
            bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
            one_by_one_ -= std::min(one_by_one_, next_);
            next_ = head_ = 0;
        }
        return false;
    }
    waiting_.clear();
    bytes_.clear();
    next_ = head_ = one_by_one_ = 0;
    return true;
}

/// True: worth another try.
bool DatagramSource::survive(int error, std::size_t run) {
    if (error == EINTR) return true;
    if (run > 1) {  // the way to this peer, or the device, does not cut runs
        if (error == EIO || error == EOPNOTSUPP || error == ENOPROTOOPT) joins_ = false;
        one_by_one_ = next_ + run;
        return error != ENOBUFS && error != ENOMEM;
    }
    // The report of an earlier datagram, told once.
    return error == ECONNREFUSED && std::exchange(read_since_error_, false);
}

void DatagramSource::leave(std::size_t datagrams) {
    for (const std::size_t end = next_ + datagrams; next_ < end; ++next_)
        head_ += waiting_[next_].bytes;
}

void DatagramSource::close() noexcept {
    (void)send_some();
    retire();
}

void DatagramSource::retire() noexcept {
    if (socket_) {
        socket_->counters_ = counters;
        std::exchange(socket_, nullptr)->source_ = nullptr;
    }
    flush_.unlink();
    Source::retire();
}

LoopDatagramSocket::LoopDatagramSocket(Poller& poller, int fd)
    : source_(new DatagramSource(poller, fd, *this)), local_(local_endpoint(fd)) {}

void LoopDatagramSocket::start(DatagramHandler& handler) {
    if (source_) source_->start(handler);
}

Result<std::unique_ptr<DatagramSocket>> bind(Poller& poller, const Endpoint& at) {
    const auto address = to_address(at);
    if (!address) return address.error();
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return address_error("bind", at, errno);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
        const int error = errno;
        ::close(fd);
        return address_error("bind", at, error);
    }
    // Each may be less than asked for, or unknown to an older kernel.
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kernel_buffer_bytes, sizeof kernel_buffer_bytes);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kernel_buffer_bytes, sizeof kernel_buffer_bytes);
    ::setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    return std::unique_ptr<DatagramSocket>(new LoopDatagramSocket(poller, fd));
}

}  // namespace gyre::io::detail
