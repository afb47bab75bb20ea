#pragma once
#include <functional>
#include <gyre/node/config_change.hpp>
#include <map>

namespace gyre::node {

/// The configuration of a process, and how it is read again. Use on the loop; reading blocks on the disk
/// for as long as a small file takes.
class LiveConfig {
public:
    /// running: what all nodes read from. read: file, environment and command line as at the start.
    /// follow: what the engine does with a new one; its error is told, the configuration stays.
    LiveConfig(config::Document& running, std::function<Result<config::Document>()> read,
               std::function<Result<>()> follow = {})
        : running_(running), read_(std::move(read)), follow_(std::move(follow)) {}

    config::Document& running() { return running_; }
    /// What would change. Errors: bad_config, names file, line and key.
    Result<std::vector<ConfigChange>> check() const;
    /// The same, and from now on who reads a section reads the new one. All or nothing.
    Result<std::vector<ConfigChange>> apply();

    /// Calls `told` after each apply(), until the returned number is given to forget().
    std::uint64_t tell(std::function<void()> told);
    void forget(std::uint64_t number) { told_.erase(number); }

private:
    Result<config::Document> read_checked() const;
    config::Document& running_;
    std::function<Result<config::Document>()> read_;
    std::function<Result<>()> follow_;
    std::map<std::uint64_t, std::function<void()>> told_;
    std::uint64_t last_ = 0;
};

}  // namespace gyre::node
