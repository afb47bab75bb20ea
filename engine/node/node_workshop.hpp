#pragma once
#include <gyre/metric/registry.hpp>
#include <gyre/module/loader.hpp>
#include <gyre/node/reloader.hpp>
#include <gyre/world/host.hpp>

namespace gyre::node {

/// A loaded build.
class BuildCode final : public Code {
public:
    explicit BuildCode(std::shared_ptr<module::Build> code) : code_(std::move(code)) {}
    const std::string& module() const override { return code_->name(); }
    const std::string& build() const override { return code_->id(); }
    std::uint64_t frames() const override { return code_->uses().frames; }
    std::uint64_t closures() const override { return code_->uses().closures; }
    const module::Build& loaded() const { return *code_; }

private:
    std::shared_ptr<module::Build> code_;
};

/// Checks that went well: nodes of a process that expect the same need one. Used on the lane alone.
using PassedChecks = std::map<std::uint64_t, std::vector<std::string>>;

/// The Workshop of a node: its host, the loader, and `gyre module check` in processes of its own.
class NodeWorkshop final : public Workshop {
public:
    struct Parts {
        world::Host& host;
        metric::Registry& metrics;
        std::string folder;   ///< Of the copies that stay.
        std::string uploads;  ///< What came over the network; emptied by and by.
        std::string checker;  ///< The gyre executable.
        std::vector<std::string> modules;  ///< As in cluster.modules: names and paths.
        config::Document* document;
        PassedChecks* passed;
    };
    explicit NodeWorkshop(Parts parts) : parts_(std::move(parts)) {}

    /// The node runs this build: its sections are those of the configuration.
    void declare(const Code& code);

    Result<Kept> keep(std::string file) override;
    Result<CodePtr> load(BuildFile kept) override;
    std::string installed(std::string module) override;
    void tidy(std::string module, std::vector<std::string> keep) override;
    Check prepare_check(const BuildFile& kept, const std::string& module, Duration limit) override;
    world::Changes compare(const Code& code) const override;
    Result<> swap(const Code& code) override;
    Task<world::CarryReport> carry_over(CodePtr code, Duration deadline) override;
    Task<> start_added_services() override { return parts_.host.start_added_services(parts_.host.node().role); }
    Vitals vitals(const std::string& module) const override;
    std::vector<std::string> holders(const Code& code) const override;

private:
    Parts parts_;
    std::map<std::string, config::Declaration> sections_;  // by module
};

/// The copy of a module's file that stays, under its build id. Errors as module::copy_build().
Result<Workshop::Kept> keep_build(const std::string& file, const std::string& folder);

}  // namespace gyre::node
