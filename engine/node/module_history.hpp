#pragma once
#include <cstdint>
#include <gyre/codec/codec.hpp>
#include <optional>
#include <string>
#include <vector>

namespace gyre::node {

/// A build and the file it can be loaded from again.
struct BuildFile {
    std::string build;  ///< Build id, hex.
    std::string file;   ///< Path on this machine.
    std::int64_t since_ms = 0;  ///< Ran first at, since 1970 UTC.
    friend bool operator==(const BuildFile&, const BuildFile&) = default;
    static consteval auto describe() {
        return type<BuildFile>("BuildFile", field<&BuildFile::build>(), field<&BuildFile::file>(),
                               field<&BuildFile::since_ms>());
    }
};

/// What one node ran of one module.
struct ModuleHistory {
    std::string module;
    std::string engine;     ///< Build of the engine it last started with.
    std::string installed;  ///< Build of lib/gyre/modules when it was last looked at.
    BuildFile current;
    std::vector<BuildFile> previous;  ///< Newest first.
    bool probation = false;           ///< `current` has not lived long enough to be trusted.
    BuildFile trusted;                ///< In probation: what takes its place when it dies.
    std::string who;                  ///< Asked for `current`.
    std::vector<std::string> bad;     ///< Died in probation: not started by themselves again.
    static consteval auto describe() {
        return type<ModuleHistory>(
            "ModuleHistory", field<&ModuleHistory::module>(), field<&ModuleHistory::engine>(),
            field<&ModuleHistory::installed>(), field<&ModuleHistory::current>(), field<&ModuleHistory::previous>(),
            field<&ModuleHistory::probation>(), field<&ModuleHistory::trusted>(),
            field<&ModuleHistory::who>(),
            field<&ModuleHistory::bad>());
    }
};

/// <data>/modules/NODE.json: which build of each module a node runs, so that a restart takes the
/// same, and one that killed the process is not taken again. Blocks on the disk.
class NodeHistory {
public:
    /// One that is missing or cannot be read is empty; `problem` says why the latter.
    static NodeHistory load(std::string path, std::string* problem = nullptr);
    /// On the disk when it returns: the old file or the new one, never half. Error: refused.
    Result<> save() const;

    struct Start {
        BuildFile use;
        std::optional<BuildFile> died;  ///< In probation: the one that `use` replaces.
    };
    /// Which build a process that starts takes. `installed`: what lib/gyre/modules has now; it is taken
    /// when it has changed since the last start or reload and is not known as bad, and with another engine.
    Start start(const std::string& module, const BuildFile& installed, const std::string& engine);
    /// The one to start with cannot be loaded: this one is taken.
    void replace(const std::string& module, const BuildFile& with);

    /// `to` is tried: from now until confirm() a process that dies comes back with the build before.
    /// installed: as it is now. keep: so many previous ones.
    void begin(const std::string& module, const BuildFile& to, const std::string& who,
               const std::string& installed, std::size_t keep);
    void confirm(const std::string& module);
    /// From probation back to the trusted one; the one it leaves is not started by itself again.
    void roll_back(const std::string& module);

    const ModuleHistory* find(const std::string& module) const;
    const std::vector<ModuleHistory>& modules() const { return modules_; }

private:
    ModuleHistory& of(const std::string& module);
    std::string path_;
    std::vector<ModuleHistory> modules_;
};

}  // namespace gyre::node
