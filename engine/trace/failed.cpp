#include <gyre/trace/failed.hpp>

#include <gyre/base/context.hpp>
#include <gyre/base/error.hpp>
#include <gyre/log/backend.hpp>
#include <gyre/trace/symbols.hpp>
#include <gyre/trace/throw.hpp>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "detail/image.hpp"

namespace gyre::trace {
namespace {

constexpr std::size_t reports_max = 64, lines_max = 32;

/// One line of the log that is not complete yet; owns all it has.
struct Report {
    log::Level level;
    std::string event;
    std::string file;  // owned: the code may be unloaded before it is written
    std::uint32_t line, column;
    std::deque<std::string> texts;
    std::vector<log::Field> fields;
    Thrown thrown;
    // Of whom it happened to:
    Context context;
    std::optional<NodeIdentity> node;
    bool in_task = false;

    std::string_view own(std::string_view text) { return texts.emplace_back(text); }
    void add(std::string_view key, std::string_view text) {
        for (const auto& field : fields)
            if (field.key == key) return;
        fields.push_back({own(key), log::Value(own(text))});
    }
    void add(const log::Field& field) {
        const bool text = field.value.type() == log::Value::Type::text || field.value.type() == log::Value::Type::lines;
        if (!text) fields.push_back({own(field.key), field.value});
        else if (field.value.type() == log::Value::Type::lines) fields.push_back({own(field.key), log::Lines(own(field.value.text()))});
        else fields.push_back({own(field.key), log::Value(own(field.value.text()))});
    }
};

/// Relative to the tree of the engine; of others as it is. This file lies at engine/trace/failed.cpp in it.
std::string in_tree(const std::string& file) {
    static const std::string root = [] {
        constexpr std::string_view here = "engine/trace/failed.cpp";
        for (const auto& place : resolve(reinterpret_cast<std::uintptr_t>(&start_reports)))
            if (place.file.ends_with(here)) return place.file.substr(0, place.file.size() - here.size());
        return std::string();
    }();
    return !root.empty() && file.starts_with(root) ? file.substr(root.size()) : file;
}

std::string at(const std::string& file, std::uint32_t line, std::uint32_t column) {
    return " at " + file + ":" + std::to_string(line) + (column ? ":" + std::to_string(column) : "") + " ";
}

/// Frames from where it was thrown to where the loop called it.
std::string stack_of(const Thrown& thrown) {
    std::string text;
    std::size_t lines = 0;
    const auto add = [&](const std::string& line) {
        if (lines++ < lines_max) text += (text.empty() ? "" : "\n") + line;
    };
    bool outside = false;  // of what throws for others
    for (std::size_t i = 0; i < thrown.stack.size() && lines < lines_max; ++i) {
        const auto places = resolve(thrown.stack[i]);
        if (!outside && places.front().object.find("libstdc++.so") != std::string::npos) continue;
        outside = true;
        const std::size_t before = lines;
        for (const auto& place : places) {
            if (place.file.starts_with("/usr/include/c++/")) continue;
            if (place.function.empty() && place.file.empty()) add(raw(place));
            else add(shortened(place.function) + (place.file.empty() ? "" : at(in_tree(place.file), place.line, place.column)));
        }
        if (lines > before && i < thrown.locals.size() && !thrown.locals[i].empty()) add("    " + thrown.locals[i]);
        if (places.back().function.starts_with("gyre::Executor::turn")) break;
    }
    for (const auto& await : thrown.awaits) add("awaited at " + await + " ");
    return text;
}

void write(Report& report) {
    if (report.node) report.context.node = &*report.node;
    const ContextGuard guard(report.in_task ? &report.context : nullptr);
    const std::string stack = report.thrown.stack.empty() ? std::string() : stack_of(report.thrown);
    if (!stack.empty()) report.fields.push_back({"stack", log::Lines(stack)});
    log::write_at(report.level, report.event, report.fields, report.file, report.line, report.column);
}

/// Never destroyed: what ends late may still fail.
class Reports {
public:
    void start() {
        const std::lock_guard lock(mutex_);
        if (thread_.joinable()) return;
        stopping_ = false;
        sigset_t all, before;  // signals are for the threads of the host
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this] { run(); });
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        running_ = true;
    }
    void stop() noexcept {
        {
            const std::lock_guard lock(mutex_);
            if (!thread_.joinable()) return;
            stopping_ = true;
            running_ = false;
        }
        wake_.notify_one();
        thread_.join();
    }
    /// False: nobody takes it, or too many wait.
    bool take(Report& report) {
        {
            const std::lock_guard lock(mutex_);
            if (!running_) return false;
            if (waiting_.size() == reports_max) {
                report.fields.push_back({"stack_dropped", true});
                report.thrown.stack.clear();
                return false;
            }
            waiting_.push_back(std::move(report));
        }
        wake_.notify_one();
        return true;
    }

private:
    void run() {
        ::pthread_setname_np(::pthread_self(), "gyre-trace");
        (void)::setpriority(PRIO_PROCESS, 0, 10);  // of this thread alone, on Linux
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            Report report = std::move(waiting_.front());
            waiting_.pop_front();
            lock.unlock();
            try {
                if (!indexed()) index();  // a module that was loaded a moment ago
                write(report);
            } catch (...) {
                log::error("trace.not_told", {{"event", report.event}});
            }
            lock.lock();
        }
    }
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Report> waiting_;
    std::thread thread_;
    bool stopping_ = false, running_ = false;
};
Reports& reports() {
    static auto* const one = new Reports;
    return *one;
}

bool is_error(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const Error&) {
        return true;
    } catch (...) {
        return false;
    }
}

void describe(Report& report, const std::exception_ptr& failure) {
    const Error error = to_error(failure);
    report.thrown = thrown(failure);
    for (auto& await : report.thrown.awaits) await = detail::source_path(std::move(await));
    report.add("error", error.what());
    if (is_error(failure)) report.add("thrown_at", detail::source_path(error.where()));
    else report.add("type", type_name(failure));
    if (report.thrown.place) {
        if (const auto again = told_again(report.thrown.place)) {
            report.fields.push_back({"again", again});
            report.thrown.stack.clear();
        }
    }
    if (report.thrown.stack.empty() && !report.thrown.awaits.empty()) {
        std::string awaits;
        for (const auto& await : report.thrown.awaits) awaits += (awaits.empty() ? "" : " < ") + await;
        report.add("awaits", awaits);
    }
    if (!current) return;
    report.in_task = true;
    report.context = *current;
    if (current->node) {
        report.node.emplace();
        report.node->name = current->node->name;
        report.node->role = current->node->role;
    }
    if (const auto build = log::running_build(*current); !build.empty()) report.add("build", build);
    report.context.object = nullptr;  // may be gone when the line is written
    report.context.ran = nullptr;
}

}  // namespace

void failed(log::Level level, std::string_view event, const std::exception_ptr& failure, log::Fields fields,
            std::source_location where) noexcept {
    try {
        if (!log::enabled(level)) return;
        Report report{level, std::string(event), detail::source_path(where.file_name()), where.line(), where.column(), {}, {}, {}, {}, {}};
        for (const auto& field : fields) report.add(field);
        describe(report, failure);
        if (!report.thrown.stack.empty() && reports().take(report)) return;
        write(report);
    } catch (...) {
        log::error("trace.not_told", {{"event", event}});
    }
}
void failed(std::string_view event, const std::exception_ptr& failure, log::Fields fields, std::source_location where) noexcept {
    failed(log::Level::error, event, failure, fields, where);
}

void start_reports() { reports().start(); }
void stop_reports() noexcept { reports().stop(); }

}  // namespace gyre::trace
