#pragma once
#include <chrono>
#include <optional>

#include "child.hpp"
#include "commands.hpp"

namespace gyre::cli {

/// Keeps the processes of one cluster running: starts them, restarts what crashes with a growing
/// delay, drains them in reverse order of their start. One thread, no engine loop while it waits.
class Supervisor {
public:
    Supervisor(UpOptions options, node::DataFolder folder, node::FolderLock lock, node::Setup setup);
    ~Supervisor();
    int run();  ///< Until all has ended; an exit_code.

private:
    using Clock = std::chrono::steady_clock;
    struct Child {
        std::string name, role;
        std::vector<std::string> command;
        pid_t pid = 0;
        int ready_fd = -1;
        bool etcd = false;
        bool ready = false;
        bool was_ready = false;      // once: it is brought back whatever happens
        bool signalled = false;
        int failed_starts = 0;       // in a row
        std::string message;         // what came through ready_fd
        std::vector<cluster::NodeInfo> nodes;
        std::chrono::milliseconds delay{0};
        Clock::time_point started{};
        std::optional<Clock::time_point> start_at;
        std::string title() const { return etcd ? "etcd" : name.empty() ? "the node process" : name; }
    };

    bool prepare_etcd();
    void add_nodes();
    void start(Child& child);
    void wait_for_events();
    void on_signal(int number);
    void read_ready(Child& child);
    void on_ready(Child& child);
    void reap();
    void on_exit(Child& child, int status);
    void start_later(Child& child, const std::string& what);
    void publish(bool first);
    void stop(int code);
    void drain();
    void tell_whom_it_waits_for();
    bool any_alive() const;

    UpOptions options_;
    node::DataFolder folder_;
    node::FolderLock lock_;
    node::Setup setup_;
    std::vector<Child> children_;  // an etcd first, then in the order of their start
    std::string etcd_endpoint_;    // of an etcd of ours that does not answer yet
    int signals_fd_ = -1;
    bool announced_ = false;
    bool stopping_ = false;
    std::optional<Clock::time_point> asked_at_;  // to end, first
    std::optional<Clock::time_point> tell_at_;
    int code_ = 0;
    Clock::time_point kill_at_{};
};

}  // namespace gyre::cli
