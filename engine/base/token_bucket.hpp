#pragma once
#include <algorithm>
#include <gyre/base/time.hpp>

namespace gyre {

/// Limits a rate: `rate` a second, saved up for at most two seconds. A rate of 0 limits nothing.
class TokenBucket {
public:
    TokenBucket(double rate, TimePoint now) : rate_(rate), tokens_(most()), at_(now) {}
    bool take(TimePoint now) {
        if (rate_ <= 0) return true;
        tokens_ = after(now);
        at_ = now;
        if (tokens_ < 1) return false;
        tokens_ -= 1;
        return true;
    }
    bool full(TimePoint now) const { return after(now) >= most(); }

private:
    double most() const { return std::max(1.0, 2 * rate_); }
    double after(TimePoint now) const {
        return std::min(most(), tokens_ + rate_ * std::chrono::duration<double>(now - at_).count());
    }
    double rate_, tokens_;
    TimePoint at_;
};

}  // namespace gyre
