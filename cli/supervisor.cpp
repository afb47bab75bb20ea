#include "supervisor.hpp"

#include <gyre/codec/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "etcd.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto delay_min = 250ms, delay_max = 8000ms;
constexpr auto steady_after = 30s;       // up so long: the next crash starts with the shortest delay
constexpr int failed_starts_max = 5;     // of what never was up
constexpr auto grace = 2s;               // over cluster.drain_limit
constexpr auto same_wish = 300ms;        // two signals so close are one: wrappers pass Ctrl-C on, too
constexpr auto patience = 5s;            // then it says whom it waits for

std::string in_seconds(std::chrono::milliseconds delay) {
    return delay < 1s ? std::to_string(delay.count()) + " ms" : std::to_string(delay.count() / 1000) + " s";
}

}  // namespace

Supervisor::Supervisor(UpOptions options, node::DataFolder folder, node::FolderLock lock, node::Setup setup)
    : options_(std::move(options)), folder_(std::move(folder)), lock_(std::move(lock)), setup_(std::move(setup)) {
    sigset_t mask;
    ::sigemptyset(&mask);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) ::sigaddset(&mask, number);
    ::sigprocmask(SIG_BLOCK, &mask, nullptr);
    signals_fd_ = ::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

Supervisor::~Supervisor() {
    for (auto& child : children_)
        if (child.ready_fd >= 0) ::close(child.ready_fd);
    ::close(signals_fd_);
}

int Supervisor::run() {
    folder_.forget_cluster();
    if (options_.processes && !prepare_etcd()) return node::exit_code::refused;
    add_nodes();
    tell_at_ = Clock::now() + patience;
    for (auto& child : children_)
        if (etcd_endpoint_.empty() || child.etcd) start(child);
    while (!stopping_ || any_alive()) {
        wait_for_events();
        if (!etcd_endpoint_.empty() && !stopping_ && etcd_answers(etcd_endpoint_)) {
            etcd_endpoint_.clear();
            for (auto& child : children_)
                if (!child.etcd) start(child);
        }
        const auto now = Clock::now();
        for (auto& child : children_)
            if (!stopping_ && child.start_at && *child.start_at <= now) start(child);
        if (stopping_) drain();
        else if (tell_at_ && *tell_at_ <= now) tell_whom_it_waits_for();
    }
    folder_.forget_cluster();
    return code_;
}

void Supervisor::tell_whom_it_waits_for() {
    tell_at_.reset();
    std::string names;
    for (const auto& child : children_)
        if (child.etcd ? !etcd_endpoint_.empty() : !child.was_ready)
            names += (names.empty() ? "" : ", ") + child.title();
    if (!names.empty()) say("still waiting for " + names + " to start; the log is in " + folder_.file("logs"));
}

bool Supervisor::prepare_etcd() {
    auto& endpoints = setup_.cluster.registry.endpoints;
    for (const auto& endpoint : endpoints) {
        if (!etcd_answers(endpoint)) continue;
        say("using the etcd at " + endpoint);
        return true;
    }
    const EtcdPlan plan = plan_etcd(folder_.file("etcd"));
    say((endpoints.empty() ? "" : "no etcd answers at " + endpoints.front() + ": ") +
        std::string(endpoints.empty() ? "starting an etcd at " : "starting one at ") + plan.endpoint);
    endpoints = {plan.endpoint};
    etcd_endpoint_ = plan.endpoint;
    Child child;
    child.name = "etcd";
    child.etcd = true;
    child.command = plan.command;
    children_.push_back(std::move(child));
    return true;
}

void Supervisor::add_nodes() {
    std::vector<std::string> base = {own_executable(), "node", "--data", folder_.path()};
    const auto& process = options_.process;
    if (!process.config_file.empty()) base.insert(base.end(), {"--config", process.config_file});
    if (!process.profile.empty()) base.insert(base.end(), {"--profile", process.profile});
    for (const auto& assignment : process.set) base.insert(base.end(), {"--set", assignment});
    if (!process.log_format.empty()) base.insert(base.end(), {"--log", process.log_format});
    const auto add = [this, &base](std::string name, std::string role) {
        Child child;
        child.command = base;
        if (name.empty()) child.command.push_back("--all");
        else child.command.insert(child.command.end(), {"--name", name});
        child.name = std::move(name);
        child.role = std::move(role);
        children_.push_back(std::move(child));
    };
    if (!options_.processes) {
        if (process.first_port) base.insert(base.end(), {"--ports", std::to_string(*process.first_port)});
        return add("", "");
    }
    base.insert(base.end(), {"--set", "cluster.registry.kind=etcd", "--set",
                             "cluster.registry.endpoints=" + to_json(setup_.cluster.registry.endpoints),
                             "--set", "cluster.name=" + setup_.cluster.name});
    if (process.first_port) base.insert(base.end(), {"--ports", std::to_string(*process.first_port)});
    for (const auto& node : setup_.nodes) add(node.name, node.role);
}

void Supervisor::start(Child& child) {
    child.start_at.reset();
    child.ready = false;
    child.signalled = false;
    child.message.clear();
    child.started = Clock::now();
    Spawn what{child.command, {lock_.descriptor()}};
    int pipe[2] = {-1, -1};
    if (child.etcd) {
        what.output = folder_.file("logs/etcd.log");
    } else {
        if (::pipe2(pipe, O_CLOEXEC) != 0) throw Error(errc::refused, std::string("pipe: ") + std::strerror(errno));
        what.keep.push_back(pipe[1]);
        what.command.insert(what.command.end(), {"--ready-fd", std::to_string(pipe[1])});
        // Back at the same addresses: clients and the other nodes know them.
        for (const auto& node : child.nodes)
            what.command.insert(what.command.end(),
                                {"--pin", node.name + "=" + std::to_string(node.address.port) + "," +
                                              std::to_string(node.client_address.port) + "," +
                                              std::to_string(node.http_address.port)});
    }
    std::string problem;
    child.pid = spawn(what, problem);
    if (pipe[1] >= 0) ::close(pipe[1]);
    if (child.pid > 0) {
        child.ready_fd = pipe[0];
        return;
    }
    child.pid = 0;
    if (pipe[0] >= 0) ::close(pipe[0]);
    say("cannot start " + child.title() + ": " + problem +
        (child.etcd ? " (package etcd-server; or name one that runs: "
                      "--set 'cluster.registry.endpoints=[\"127.0.0.1:2379\"]')" : ""));
    stop(node::exit_code::refused);
}

void Supervisor::wait_for_events() {
    std::vector<pollfd> polled = {{signals_fd_, POLLIN, 0}};
    for (const auto& child : children_)
        if (child.ready_fd >= 0) polled.push_back({child.ready_fd, POLLIN, 0});
    auto until = Clock::now() + 1h;
    if (!etcd_endpoint_.empty() && !stopping_) until = Clock::now() + 50ms;
    if (stopping_) until = std::min(until, kill_at_);
    else if (tell_at_) until = std::min(until, *tell_at_);
    for (const auto& child : children_)
        if (child.start_at && !stopping_) until = std::min(until, *child.start_at);
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    ::poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(0, wait.count())));
    for (auto& child : children_)
        if (child.ready_fd >= 0) read_ready(child);
    signalfd_siginfo signal;
    while (::read(signals_fd_, &signal, sizeof signal) == sizeof signal)
        if (signal.ssi_signo != SIGCHLD) on_signal(static_cast<int>(signal.ssi_signo));
    reap();
}

void Supervisor::on_signal(int) {
    const auto now = Clock::now();
    if (!asked_at_) {
        asked_at_ = now;
        if (announced_) say("saving and ending; again: at once");
        return stop(node::exit_code::ok);
    }
    if (now - *asked_at_ < same_wish || code_ == node::exit_code::interrupted) return;
    say("ended at once, without saving");
    code_ = node::exit_code::interrupted;
    for (const auto& child : children_)
        if (child.pid > 0) ::kill(child.pid, SIGKILL);
}

void Supervisor::read_ready(Child& child) {
    ::fcntl(child.ready_fd, F_SETFL, O_NONBLOCK);
    char text[4096];
    ssize_t size;
    while ((size = ::read(child.ready_fd, text, sizeof text)) > 0)
        child.message.append(text, static_cast<std::size_t>(size));
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    ::close(std::exchange(child.ready_fd, -1));
    if (!child.message.empty()) on_ready(child);  // Else it has ended, and reap() tells how.
}

void Supervisor::on_ready(Child& child) {
    auto file = from_json<node::ClusterFile>(child.message);
    if (!file) return say(child.title() + ": what it tells makes no sense: " + file.error().message());
    child.nodes = std::move(file->nodes);
    child.ready = true;
    child.failed_starts = 0;
    if (child.was_ready && announced_)
        say(styled(STDERR_FILENO, Style::green, child.title() + " is back") + " (pid " +
            std::to_string(child.pid) + ")");
    child.was_ready = true;
    if (stopping_) return;
    const bool all = std::ranges::all_of(children_, [](const Child& c) { return c.etcd || c.was_ready; });
    if (all) publish(!announced_);
}

void Supervisor::publish(bool first) {
    node::ClusterFile file;
    file.name = setup_.cluster.name;
    file.pid = static_cast<std::uint64_t>(::getpid());
    file.mode = options_.processes ? "processes" : "process";
    file.config = setup_.cluster.nodes;
    for (const auto& child : children_) file.nodes.insert(file.nodes.end(), child.nodes.begin(), child.nodes.end());
    if (auto written = folder_.write(file); !written) say(written.error().what());
    if (first) print_banner(file, options_.process.data);
    announced_ = true;
}

void Supervisor::reap() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
        for (auto& child : children_)
            if (child.pid == pid) on_exit(child, status);
}

void Supervisor::on_exit(Child& child, int status) {
    const std::string end = child.title() + " (pid " + std::to_string(child.pid) + ") " + describe_end(status);
    child.pid = 0;
    if (child.ready_fd >= 0) read_ready(child);
    const bool clean = WIFEXITED(status) && WEXITSTATUS(status) == node::exit_code::ok;
    const bool refused = WIFEXITED(status) && WEXITSTATUS(status) == node::exit_code::refused;
    if (stopping_) {
        if (!clean && code_ == node::exit_code::ok && !child.etcd) {
            say(end);
            code_ = node::exit_code::failed;
        }
        return;
    }
    if (!child.was_ready && !child.etcd) {
        // It said why on stderr.
        if (refused) return stop(node::exit_code::refused);
        if (clean || ++child.failed_starts >= failed_starts_max) {
            say(end + (clean ? " before it was up" : ": given up after " + std::to_string(failed_starts_max) +
                                                         " starts"));
            return stop(node::exit_code::failed);
        }
    } else if (child.etcd && !etcd_endpoint_.empty()) {
        say(end + " before it answered: see " + folder_.file("logs/etcd.log"));
        return stop(node::exit_code::failed);
    } else if (refused) {
        // Its old addresses may be taken; without them it is the configuration.
        if (child.nodes.empty() && !options_.processes) return stop(node::exit_code::refused);
        child.nodes.clear();
    }
    start_later(child, end);
}

void Supervisor::start_later(Child& child, const std::string& what) {
    const auto now = Clock::now();
    if (now - child.started >= steady_after) child.delay = 0ms;
    child.delay = std::clamp<std::chrono::milliseconds>(child.delay * 2, delay_min, delay_max);
    child.start_at = now + child.delay;
    child.ready = false;
    say(styled(STDERR_FILENO, Style::red, what) + "; starting it again in " + in_seconds(child.delay));
}

void Supervisor::stop(int code) {
    if (stopping_) return;
    stopping_ = true;
    code_ = code;
    kill_at_ = Clock::now() + setup_.cluster.drain_limit + grace;
}

void Supervisor::drain() {
    if (Clock::now() >= kill_at_) {
        for (const auto& child : children_) {
            if (child.pid <= 0) continue;
            say(child.title() + " (pid " + std::to_string(child.pid) + ") does not end: killed");
            ::kill(child.pid, SIGKILL);
            code_ = code_ ? code_ : node::exit_code::failed;
        }
        kill_at_ = Clock::now() + 1h;
    }
    // One role after the other; each when all of the one before has ended, etcd at last.
    const auto turn = [](const Child& child) {
        return std::pair(child.etcd, child.etcd ? 0 : node::stop_rank(child.role));
    };
    auto now = std::pair(true, std::size_t{1});
    for (const auto& child : children_)
        if (child.pid > 0) now = std::min(now, turn(child));
    for (auto& child : children_) {
        if (child.pid <= 0 || child.signalled || turn(child) != now) continue;
        child.signalled = true;
        ::kill(child.pid, SIGTERM);
    }
}

bool Supervisor::any_alive() const {
    return std::ranges::any_of(children_, [](const Child& child) { return child.pid > 0; });
}

int up(const UpOptions& options) {
    auto folder = node::DataFolder::open(options.process.data);
    const auto refuse = [](const Error& error) {
        say(error.what());
        return node::exit_code::refused;
    };
    if (!folder) return refuse(folder.error());
    auto setup = node::read_setup(options.process, *folder);
    if (!setup) return refuse(setup.error());
    auto lock = folder->lock();
    if (!lock) return refuse(lock.error());
    return Supervisor(options, *std::move(folder), *std::move(lock), *std::move(setup)).run();
}

}  // namespace gyre::cli
