#pragma once
#include <functional>
#include <gyre/task/executor.hpp>
#include <map>

namespace gyre::cluster::detail {

/// Runs closures on one loop, each at its time; equal times in order.
class Courier {
public:
    explicit Courier(Executor& executor) : timer_(executor, *this) {}
    /// A past time: next turn.
    void at(TimePoint when, std::function<void()> action) {
        parcels_.emplace(when, std::move(action));
        timer_.arm(parcels_.begin()->first);
    }
    TimePoint now() const { return timer_.executor().now(); }

private:
    struct Wake : Timer {
        Wake(Executor& executor, Courier& c)
            : Timer(executor, [](Timer& t) { static_cast<Wake&>(t).courier.deliver(); }),
              courier(c) {}
        Courier& courier;
    };
    void deliver() {
        // One a call: the closure may destroy this courier, or hand it more.
        auto parcel = parcels_.extract(parcels_.begin());
        if (!parcels_.empty()) timer_.arm(parcels_.begin()->first);
        parcel.mapped()();
    }
    std::multimap<TimePoint, std::function<void()>> parcels_;
    Wake timer_;
};

}  // namespace gyre::cluster::detail
