#include <atomic>
#include <gyre/log/backend.hpp>
#include <gyre/log/capture.hpp>
#include <mutex>

#include "detail/format.hpp"
#include "detail/taps.hpp"

namespace gyre::log {

struct Capture::Kept {
    std::vector<Line> lines;
    Kept* outer = nullptr;
};

namespace {
constinit std::mutex mutex;
Capture::Kept* newest = nullptr;
}  // namespace

namespace detail {
constinit std::atomic<int> captures = 0;

bool give_to_newest_capture(const Record& record) {
    std::lock_guard lock(mutex);
    if (newest) newest->lines.push_back(line_of(record));
    return newest != nullptr;
}
}  // namespace detail

Capture::Capture(Level level) : kept_(std::make_unique<Kept>()), before_(log::level()) {
    {
        std::lock_guard lock(mutex);
        kept_->outer = newest;
        newest = kept_.get();
        ++detail::captures;
    }
    set_level(level);
}
Capture::~Capture() {
    set_level(before_);
    std::lock_guard lock(mutex);
    newest = kept_->outer;
    --detail::captures;
}
std::vector<Capture::Line> Capture::lines() const {
    std::lock_guard lock(mutex);
    return kept_->lines;
}
std::size_t Capture::count(std::string_view event) const {
    std::lock_guard lock(mutex);
    std::size_t result = 0;
    for (const Line& line : kept_->lines) result += line.event == event;
    return result;
}
bool Capture::has(std::string_view event, std::string_view part) const {
    std::lock_guard lock(mutex);
    for (const Line& line : kept_->lines) {
        if (line.event == event && line.fields.find(part) != std::string::npos) return true;
    }
    return false;
}

}  // namespace gyre::log
