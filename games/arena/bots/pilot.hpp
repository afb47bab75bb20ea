#pragma once
#include <deque>
#include <gyre/base/time.hpp>

#include "games/arena/sim/arena_sim.hpp"

namespace arena {

/// Flies one fighter: walks around the nearest enemy and shoots at it. Also times how long an input
/// takes to show in a snapshot.
class Pilot {
public:
    /// choice: a random number, so that no two fly alike.
    explicit Pilot(std::uint64_t choice) : choice_(choice) {}

    void joined(std::uint32_t slot) { slot_ = slot; }
    /// Keeps what is needed of it. Calls `seen` with the age of each input that it shows first.
    template <class F>
    void saw(const Snapshot& snapshot, gyre::TimePoint now, F&& seen) {
        look(snapshot);
        while (!sent_.empty() && sent_.front().sequence <= last_input_) {
            seen(now - sent_.front().at);
            sent_.pop_front();
        }
    }
    /// What to send now.
    Input decide(gyre::TimePoint now);

    bool in_match() const { return in_match_; }  ///< It has seen its fighter.

private:
    void look(const Snapshot& snapshot);
    struct Sent {
        std::uint32_t sequence;
        gyre::TimePoint at;
    };
    std::uint64_t choice_;
    std::uint32_t slot_ = ~0u, sequence_ = 0, last_input_ = 0;
    bool in_match_ = false, sees_enemy_ = false;
    float x_ = 0, y_ = 0, enemy_x_ = 0, enemy_y_ = 0;
    std::deque<Sent> sent_;
};

}  // namespace arena
