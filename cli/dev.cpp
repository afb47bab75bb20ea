#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "child.hpp"
#include "commands.hpp"
#include "duration.hpp"
#include "rollout.hpp"
#include "source_watch.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr auto settle = 60ms;  // an editor writes several files; a checkout many
constexpr auto start_limit = 60s;

double ms_since(Clock::time_point begun) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

class Developer {
public:
    explicit Developer(const DevOptions& options) : options_(options) {
        sigset_t mask;
        ::sigemptyset(&mask);
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&mask, number);
        ::sigprocmask(SIG_BLOCK, &mask, nullptr);
        signals_ = ::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    ~Developer() { ::close(signals_); }

    int run() {
        build_ = options_.build.empty() ? find_build_folder(own_executable()) : options_.build;
        if (build_.empty()) {
            say("this command is in no CMake build folder: --build DIR");
            return node::exit_code::refused;
        }
        targets_ = find_targets(build_);
        if (const int code = choose_targets(); code != node::exit_code::ok) return code;
        if (!start_cluster()) return node::exit_code::failed;
        std::vector<std::string> folders;
        std::string names;
        for (const auto& target : targets_) {
            folders.insert(folders.end(), target.folders.begin(), target.folders.end());
            names += (names.empty() ? "" : ", ") + target.module;
        }
        SourceWatch watch(folders);
        say("watching the sources of " + names + "; save a file and it runs");
        follow(watch);
        return end_cluster();
    }

private:
    /// Those asked for, else those of the cluster that are built here.
    int choose_targets() {
        auto wanted = options_.modules;
        if (wanted.empty()) {
            const auto folder = node::DataFolder::open(options_.up.process.data).value();
            const auto setup = node::read_setup(options_.up.process, folder);
            if (!setup) {
                say(setup.error().what());
                return node::exit_code::refused;
            }
            wanted = setup->cluster.modules;
        } else {
            for (const auto& name : wanted)
                if (!std::ranges::count(targets_, name, &ModuleTarget::module)) {
                    std::string known;
                    for (const auto& target : targets_) known += (known.empty() ? "" : ", ") + target.module;
                    say("no target " + name + "_module in " + build_ + "; there are " + known);
                    return node::exit_code::refused;
                }
        }
        std::erase_if(targets_, [&wanted](const auto& t) {
            return std::ranges::none_of(wanted, [&t](const std::string& name) {  // a name, or the path of a studio's own
                return name == t.module || name.ends_with("/" + t.module + ".so");
            });
        });
        if (!targets_.empty()) return node::exit_code::ok;
        say("none of the cluster's modules is built in " + build_);
        return node::exit_code::refused;
    }

    bool runs() const {
        const auto folder = node::DataFolder::find(options_.up.process.data);
        return folder && folder->cluster().ok();
    }

    bool start_cluster() {
        const auto folder = node::DataFolder::open(options_.up.process.data).value();
        if (folder.locked_by()) {
            say("joined the cluster in " + folder.path());
            return true;
        }
        const auto& process = options_.up.process;
        Spawn what{{own_executable(), "up", "--data", process.data}};
        if (!process.config_file.empty()) what.command.insert(what.command.end(), {"--config", process.config_file});
        if (!process.profile.empty()) what.command.insert(what.command.end(), {"--profile", process.profile});
        for (const auto& set : process.set) what.command.insert(what.command.end(), {"--set", set});
        if (process.first_port) what.command.insert(what.command.end(), {"--ports", std::to_string(*process.first_port)});
        if (options_.up.processes) what.command.push_back("--processes");
        std::string problem;
        cluster_ = spawn(what, problem);
        if (cluster_ <= 0) {
            say(problem);
            return false;
        }
        const auto end = Clock::now() + start_limit;
        while (Clock::now() < end && !asked_to_end() && !cluster_ended()) {
            if (runs()) return true;
            std::this_thread::sleep_for(20ms);
        }
        say("the cluster did not start");
        (void)end_cluster();
        return false;
    }

    bool cluster_ended() {
        int status = 0;
        if (cluster_ <= 0 || ::waitpid(cluster_, &status, WNOHANG) != cluster_) return false;
        cluster_ = -1;
        cluster_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : node::exit_code::failed;
        return true;
    }

    int end_cluster() {
        if (cluster_ <= 0) return cluster_code_;
        ::kill(cluster_, SIGTERM);
        int status = 0;
        while (::waitpid(cluster_, &status, 0) < 0 && errno == EINTR) {}
        return WIFEXITED(status) ? WEXITSTATUS(status) : node::exit_code::failed;
    }

    bool asked_to_end() {
        signalfd_siginfo signal;
        while (::read(signals_, &signal, sizeof signal) == sizeof signal) ending_ = true;
        return ending_;
    }

    void follow(SourceWatch& watch) {
        std::vector<std::string> changed;
        Clock::time_point first{};
        while (!asked_to_end() && !cluster_ended()) {
            pollfd polled[] = {{signals_, POLLIN, 0}, {watch.descriptor(), POLLIN, 0}};
            const auto wait = changed.empty() ? 500ms : settle;
            const int ready = ::poll(polled, 2, static_cast<int>(wait.count()));
            const auto more = watch.changed();
            if (!more.empty() && changed.empty()) first = Clock::now();
            changed.insert(changed.end(), more.begin(), more.end());
            if (ready != 0 || changed.empty()) continue;
            for (const auto& target : targets_of(changed)) bring(target, changed, first);
            changed.clear();
        }
    }

    std::vector<ModuleTarget> targets_of(const std::vector<std::string>& paths) const {
        std::vector<ModuleTarget> found;
        for (const auto& target : targets_)
            if (std::ranges::any_of(paths, [&target](const auto& path) {
                    return std::ranges::any_of(target.folders, [&path](const auto& f) { return (path + "/").starts_with(f + "/"); });
                }))
                found.push_back(target);
        return found;
    }

    /// What the build said when it failed.
    bool build(const std::string& target, std::string& output) {
        int out[2];
        if (::pipe2(out, O_CLOEXEC) != 0) return false;
        std::string problem;
        Spawn what{{"cmake", "--build", build_, "--target", target}};
        what.output_fd = out[1];
        const pid_t pid = spawn(what, problem);
        ::close(out[1]);
        char text[4096];
        for (ssize_t size; (size = ::read(out[0], text, sizeof text)) > 0 || (size < 0 && errno == EINTR);)
            if (size > 0) output.append(text, static_cast<std::size_t>(size));
        ::close(out[0]);
        if (pid <= 0) {
            output = problem;
            return false;
        }
        int status = 0;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }

    void bring(const ModuleTarget& target, const std::vector<std::string>& changed, Clock::time_point saved) {
        std::string files;
        for (const auto& path : changed) {
            const std::string name = path.substr(path.rfind('/') + 1);
            if (files.find(name) == std::string::npos) files += (files.empty() ? "" : ", ") + name;
        }
        say(styled(STDERR_FILENO, Style::bold, target.module) + ": " + files + " changed");
        const auto building = Clock::now();
        std::string output;
        if (!build(target.target, output)) {
            std::fputs(output.c_str(), stderr);
            say(styled(STDERR_FILENO, Style::red, "not built") + ": the cluster runs on as it was");
            return;
        }
        const double built_ms = ms_since(building);
        try {
            ClusterClient client(options_.up.process.data);
            Rollout rollout(client, client.nodes(), [this](const std::string& line) { lines_.push_back(line); });
            const auto file = find_file(build_ + "/lib/gyre/modules/" + target.module + ".so");
            lines_.clear();
            const auto reloading = Clock::now();
            const bool good = rollout.bring(file, {});
            const bool swapped = std::ranges::any_of(rollout.reports(), [](const auto& r) { return !r.mode.empty(); });
            const bool full = std::ranges::any_of(rollout.reports(), [](const auto& r) { return r.mode == "full"; });
            if (!good || full)
                for (const auto& line : lines_) std::fprintf(stderr, "%s\n", line.c_str());
            if (!good) return say(styled(STDERR_FILENO, Style::red, "not reloaded") + ": the cluster runs on as it was");
            if (!swapped) return say(target.module + ": the same code, nothing to do");
            if (full) say("a layout changed: objects were carried over");
            double checked_ms = 0, swapped_ms = 0;
            for (const auto& report : rollout.reports()) checked_ms += report.check_ms, swapped_ms = std::max(swapped_ms, report.swap_ms);
            say(styled(STDERR_FILENO, Style::green, target.module + " runs") + " on " + std::to_string(rollout.reports().size()) +
                " nodes " + readable_ms(ms_since(saved)) + " after the save (build " + readable_ms(built_ms) + ", reload " +
                readable_ms(ms_since(reloading)) + " with " + readable_ms(checked_ms) + " of checks, longest pause " +
                readable_ms(swapped_ms) + ")");
        } catch (const Error& error) {
            say(styled(STDERR_FILENO, Style::red, "not reloaded: ") + error.what());
        }
    }

    std::vector<std::string> lines_;
    const DevOptions& options_;
    std::string build_;
    std::vector<ModuleTarget> targets_;
    int signals_ = -1;
    pid_t cluster_ = 0;
    int cluster_code_ = node::exit_code::ok;
    bool ending_ = false;
};

}  // namespace

int dev(const DevOptions& options) { return Developer(options).run(); }

}  // namespace gyre::cli
