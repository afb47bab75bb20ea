#include "tun_link.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>

namespace gyre::bench {

[[noreturn]] void refuse(const char* what) {
    std::fprintf(stderr, "rudp_real_time: %s: %s\n", what, std::strerror(errno));
    std::exit(3);
}
int must(int result, const char* what) {
    if (result < 0) refuse(what);
    return result;
}

TimePoint clock_now() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return TimePoint(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}
namespace {

constexpr std::size_t head_bytes = 28;  // What LinkModel adds to the size of a datagram.

void write_file(const char* path, const std::string& text) {
    std::ofstream file(path);
    if (!(file << text << std::flush)) refuse(path);
}

/// A user namespace in which this process may make devices.
void enter_user_namespace() {
    const auto user = getuid();
    const auto group = getgid();
    must(unshare(CLONE_NEWUSER), "a user namespace (kernel.unprivileged_userns_clone, seccomp or AppArmor forbid it)");
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
    write_file("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
}

sockaddr_in address_of(const char* text) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

}  // namespace

/// A network namespace with one TUN device of this address.
int TunLink::enter(const char* address) {
    must(unshare(CLONE_NEWNET), "a network namespace");
    const int tun = must(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");
    ifreq request{};
    std::strcpy(request.ifr_name, "gyre0");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    must(ioctl(tun, TUNSETIFF, &request), "a TUN device");
    const int control = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    const auto set = [&](const char* text, unsigned long call) {
        const sockaddr_in value = address_of(text);
        std::memcpy(&request.ifr_addr, &value, sizeof value);
        must(ioctl(control, call, &request), "the address of a TUN device");
    };
    set(address, SIOCSIFADDR);
    set("255.255.255.0", SIOCSIFNETMASK);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    must(ioctl(control, SIOCSIFFLAGS, &request), "a TUN device up");
    close(control);
    return tun;
}

TunLink::TunLink(const sim::LinkConfig& up, const sim::LinkConfig& down, std::uint64_t seed)
    : up_(up), down_(down), seed_(seed) {
    enter_user_namespace();
}

sim::LinkModel& TunLink::way(std::uint16_t port, std::size_t end) {
    const auto found = ways_.find(port);
    if (found != ways_.end()) return found->second[end];
    const std::uint64_t seed = 2 * (seed_ * 1009 + ways_.size());  // The same for the nth client.
    return ways_.try_emplace(port, std::array{sim::LinkModel(up_, seed + 1), sim::LinkModel(down_, seed + 2)})
        .first->second[end];
}

void TunLink::take(std::size_t end) {
    std::uint8_t packet[65536];
    for (ssize_t size = 0; (size = read(tun_[end], packet, sizeof packet)) > 0;) {
        const auto bytes = static_cast<std::size_t>(size);
        const std::size_t head = static_cast<std::size_t>(packet[0] & 15) * 4;
        // IPv6 looks for routers; ICMP is of no one we measure.
        if (packet[0] >> 4 != 4 || bytes < head + 8 || (packet[9] != IPPROTO_TCP && packet[9] != IPPROTO_UDP)) continue;
        const std::uint8_t* port = packet + head + (end == 0 ? 0 : 2);
        sim::LinkModel& model = way(static_cast<std::uint16_t>(port[0] << 8 | port[1]), end);
        const TimePoint now = clock_now();
        const Bytes copy(packet, packet + bytes);
        if (!measured_) {
            wire_.emplace(now + model.config().delay, std::pair(1 - end, copy));
            continue;
        }
        ++packets_, bytes_ += bytes;
        const auto fate = model.pass(now, bytes - head_bytes);
        for (unsigned i = 0; i < fate.copies; ++i) wire_.emplace(fate.at[i], std::pair(1 - end, copy));
    }
}

void TunLink::fire(TimePoint now) {
    while (next() <= now) {
        const auto [end, packet] = std::move(wire_.begin()->second);
        if (measured_) lag_ms_.push_back(static_cast<double>((now - next()).count()) / 1e6);
        wire_.erase(wire_.begin());
        if (write(tun_[end], packet.data(), packet.size()) < 0 && errno != EAGAIN) refuse("write to a TUN device");
    }
}

}  // namespace gyre::bench
