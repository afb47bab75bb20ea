#pragma once
#include <gyre/sim/detail/host.hpp>

namespace gyre::sim::detail {

/// Work runs inline on its machine's loop once its virtual time is over.
class SimLane final : public io::Lane {
public:
    SimLane(Host& host, io::LaneConfig config);
    ~SimLane() override;
    std::size_t waiting() const override { return queue_.size(); }

protected:
    bool submit(io::detail::Work& work) override;

private:
    struct Thread : Ready {
        explicit Thread(SimLane& l);
        struct Busy : Timer {
            explicit Busy(Thread& t);
            Thread& thread;
        };
        void finish();
        SimLane& lane;
        io::detail::Work* work = nullptr;
        Busy busy;
    };
    void start(Thread& thread);

    Host& host_;
    io::LaneConfig config_;
    Random durations_, stalls_;
    std::deque<io::detail::Work*> queue_;
    std::deque<Thread> threads_;
};

}  // namespace gyre::sim::detail
