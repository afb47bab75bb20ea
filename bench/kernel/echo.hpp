#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

/// What the echo programs share. A frame is a little-endian length of 4 bytes and 64 bytes of payload.
namespace kernel_bench {

inline constexpr std::size_t payload_bytes = 64, head_bytes = 4;
inline constexpr std::size_t frame_bytes = head_bytes + payload_bytes;
inline constexpr std::size_t buffer_bytes = 256 << 10;

/// `PROGRAM server` or `PROGRAM client PORT WINDOW SECONDS`; anything else ends the process.
struct Arguments {
    Arguments(int count, char** values);
    bool server = false;
    std::uint16_t port = 0;
    std::size_t window = 1;  ///< Calls outstanding.
    double seconds = 0;      ///< Measured; a fifth of it is run before.
};

/// Tells the runner where a server listens. The process ends with its parent.
void announce(std::uint16_t port);

int listen_on_loopback(std::uint16_t& port);   ///< Non-blocking. Ends the process when it fails.
int connect_to_loopback(std::uint16_t port);  ///< Connected, then non-blocking, no delay.
void no_delay(int socket);

/// Counts calls and, for one call at a time, their times.
class Meter {
public:
    explicit Meter(const Arguments& arguments);
    bool over() const { return over_; }
    void add(std::size_t calls) {
        calls_ += calls;
        if (calls_ >= look_at_) look();
    }
    /// One line of JSON: calls_per_s, p50_us and p99_us of single calls.
    void report() const;

private:
    using Clock = std::chrono::steady_clock;
    void look();
    Clock::duration warm_, length_;
    bool single_;
    bool warming_ = true, over_ = false;
    Clock::time_point start_, last_;
    std::uint64_t calls_ = 0, look_at_ = 0, measured_ = 0;
    Clock::duration took_{};
    std::vector<std::uint32_t> call_ns_;
};

}  // namespace kernel_bench
