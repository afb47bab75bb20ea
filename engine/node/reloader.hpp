#pragma once
#include <gyre/io/io.hpp>
#include <gyre/node/audit.hpp>
#include <gyre/node/live_config.hpp>
#include <gyre/node/module_history.hpp>
#include <gyre/node/reload_config.hpp>
#include <gyre/node/reload_types.hpp>
#include <gyre/node/watchdog.hpp>
#include <gyre/task/sync.hpp>
#include <list>
#include <map>
#include <set>

namespace gyre::node {

/// The code of one build in this process; unloaded with the last that holds it.
class Code {
public:
    virtual ~Code() = default;
    virtual const std::string& module() const = 0;
    virtual const std::string& build() const = 0;
    virtual std::uint64_t frames() const = 0;    ///< Coroutine frames alive.
    virtual std::uint64_t closures() const = 0;  ///< Closures the engine keeps.
};
using CodePtr = std::shared_ptr<Code>;

/// What a reloader works with: disk, checker, loader and the node's host; in tests, none of them.
class Workshop {
public:
    virtual ~Workshop() = default;
    // On a thread of their own, one at a time; they own what they get.
    struct Kept {
        std::string module;
        BuildFile file;
    };
    virtual Result<Kept> keep(std::string file) = 0;  ///< A copy that stays.
    /// In a fresh process. Gives warnings. Error: bad_data, all that is wrong with it.
    using Check = std::function<Result<std::vector<std::string>>()>;
    virtual Result<CodePtr> load(BuildFile kept) = 0;
    /// Build of lib/gyre/modules; empty: there is none.
    virtual std::string installed(std::string module) = 0;
    virtual void tidy(std::string module, std::vector<std::string> keep) = 0;

    // On the loop.
    virtual Check prepare_check(const BuildFile& kept, const std::string& module, Duration limit) = 0;
    virtual world::Changes compare(const Code& code) const = 0;
    virtual Result<> swap(const Code& code) = 0;
    virtual Task<world::CarryReport> carry_over(CodePtr code, Duration deadline) = 0;
    /// Services that the code brought; all of them, or it throws and there is none.
    virtual Task<> start_added_services() = 0;
    virtual Vitals vitals(const std::string& module) const = 0;
    virtual std::vector<std::string> holders(const Code& code) const = 0;
};

struct ReloaderParts {
    io::Io& io;
    io::Lane& lane;  ///< One thread.
    std::string node;
    std::vector<std::string> modules;  ///< Config key cluster.modules, as names.
    std::function<ReloadConfig()> config;
    Workshop& workshop;
    NodeHistory history;
    const AuditLog& audit;
    Watchdog* watchdog = nullptr;  ///< Null: none.
    LiveConfig* live_config = nullptr;  ///< Null: the configuration stays.
    std::string uploads = {};           ///< Folder of files that come over the network.
    std::multiset<std::string>* running = nullptr;  ///< Builds that nodes of this process run; null: this one alone.
    std::vector<CodePtr>* last_code = nullptr;  ///< Gets the code when the reloader ends; null: it is unloaded.
    /// The builds that run here have changed.
    std::function<void()> on_change = [] {};
};

/// Replaces the modules of one node, one at a time, and comes back to the build before when the new
/// one fails in its first seconds. Use on the loop; its tasks run in the scope given to run().
class Reloader {
public:
    explicit Reloader(ReloaderParts parts);
    ~Reloader();

    /// The builds the node starts with.
    void adopt(CodePtr code, BuildFile from);
    /// Probation, and unloading what nothing holds, until the scope ends.
    Task<> run();

    /// Errors: in_use (another one is at work: says whose), not_found (no such module or file), bad_data
    /// (what the check found), conflict (incremental was asked and a layout changed, or the build does not
    /// fit), and what the swap or a hook said. Then the old build runs on.
    Task<ReloadReport> reload(ReloadRequest request);
    /// To the build `steps` before the current one. Errors: not_found, and as reload().
    Task<ReloadReport> roll_back(std::string module, std::uint32_t steps, std::string who);
    std::vector<ModuleState> states() const;
    /// The first 8 hex digits of the build that runs of a module; empty: none. Valid until it is replaced.
    std::string_view build_of(std::string_view module) const;
    std::uint32_t held() const;  ///< Replaced builds that something holds. Cheap.
    Vitals vitals(const std::string& module) const { return parts_.workshop.vitals(module); }
    const AuditLog& audit() const { return parts_.audit; }
    io::Lane& lane() const { return parts_.lane; }
    const std::string& uploads() const { return parts_.uploads; }
    /// Error: bad_config; then nothing has changed.
    Task<std::vector<ConfigChange>> reload_config(bool check_only, std::string who);
    /// Of a node that ends in order: what is in probation died of nothing.
    Task<> end();

private:
    struct Module {
        CodePtr code;
        CodePtr fallback;  // until the code is trusted
        BuildFile file;
        std::string who;
        TimePoint probation_until{};
        Vitals at_start, at_swap;
        std::list<CodePtr> held;
    };
    class Turn;

    Task<ReloadReport> bring(ReloadRequest request, std::string action);
    Task<> exchange(Module& module, CodePtr code, const ReloadRequest& request, ReloadReport& report);
    Task<> return_to_fallback(std::string name, std::string reason);
    Task<> confirm(std::string name);
    Task<> write_history();
    Task<> tell(AuditEntry entry);
    AuditEntry entry(const std::string& who, const std::string& action, const std::string& module) const;
    void run_on(Module& module, CodePtr code);
    bool lingers(const Module& module, const Code& code) const;
    void replaced(Module& module, CodePtr old);
    void end_probation(Module& module);
    void unload_unused();
    std::string watched(const std::string& module) const { return parts_.node + "/" + module; }
    double ms_since(TimePoint begun) const;

    ReloaderParts parts_;
    std::map<std::string, Module, std::less<>> modules_;
    std::string busy_;  // who does what
    bool settling_ = false;  // a probation ends: takes milliseconds, who comes waits
    Signal changed_;    // there is something to watch
};

}  // namespace gyre::node
