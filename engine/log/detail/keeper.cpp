#include "keeper.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gyre/base/error.hpp>

#include "gzip.hpp"

namespace gyre::log::detail {
namespace {

/// Of this thread: for the processor and the disk, after everybody else.
void lower_priority() {
    constexpr int nicest = 19, who_process = 1, class_idle = 3 << 13;
    const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
    (void)::setpriority(PRIO_PROCESS, thread, nicest);
    (void)::syscall(SYS_ioprio_set, who_process, thread, class_idle);
}

}  // namespace

Keeper::Keeper(const Config& config)
    : files_(config.file),
      files_kept_(config.files_kept),
      kept_bytes_max_(config.kept_bytes_max),
      gzip_(config.gzip) {}

Keeper::~Keeper() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    {
        std::lock_guard lock(mutex_);
        asked_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void Keeper::wake() {
    {
        std::lock_guard lock(mutex_);
        asked_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) return;
    sigset_t all, before;  // signals are for the threads of the host
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Keeper::run() {
    ::pthread_setname_np(::pthread_self(), "gyre-log-old");
    lower_priority();
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return asked_; });
            asked_ = false;
        }
        if (stopping_) return;
        tidy();
    }
}

void Keeper::tidy() {
    for (const auto& file : files_.list()) {
        if (file.unfinished) ::unlink(file.path.c_str());
    }
    files_.keep(files_kept_, kept_bytes_max_);
    if (!gzip_) return;
    bool failed = false;
    for (const auto& file : files_.list()) {
        if (file.compressed || stopping_) continue;
        const auto done = gzip(file.path, stopping_);
        if (done.ok() || done.error().is(errc::cancelled)) continue;
        failed = true;
        if (!failing_) log::error("log.compress_failed", {{"error", done.error()}});
        failing_ = true;
    }
    failing_ = failed;
    files_.keep(files_kept_, kept_bytes_max_);
}

}  // namespace gyre::log::detail
