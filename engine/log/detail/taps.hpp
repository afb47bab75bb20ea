#pragma once
#include <atomic>

#include "record.hpp"

namespace gyre::log::detail {

/// To the taps that want it. Lines that `wake` of a tap writes are not given again.
void give_to_taps(const Record& record);
/// Whether this thread is within `wake` of a tap.
bool within_wake();

extern constinit std::atomic<int> captures;
/// To the newest Capture; false when there is none.
bool give_to_newest_capture(const Record& record);
inline bool give_to_capture(const Record& record) {
    return captures.load(std::memory_order_acquire) != 0 && give_to_newest_capture(record);
}

}  // namespace gyre::log::detail
