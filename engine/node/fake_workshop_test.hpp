#pragma once
#include <fstream>
#include <gyre/node/reloader.hpp>

namespace gyre::node {

/// The code of no file.
struct FakeCode : Code {
    explicit FakeCode(std::string id, int& alive) : id_(std::move(id)), alive_(alive) { ++alive_; }
    ~FakeCode() override { --alive_; }
    const std::string& module() const override { return module_; }
    const std::string& build() const override { return id_; }
    std::uint64_t frames() const override { return frames_; }
    std::uint64_t closures() const override { return 0; }
    std::string id_, module_ = "arena";
    std::uint64_t frames_ = 0;
    int& alive_;
};

/// A file is a build whose id is its text: "b", "b layout", "b broken", "b fails".
class FakeWorkshop : public Workshop {
public:
    explicit FakeWorkshop(std::string folder) : folder_(std::move(folder)) {}
    Result<Kept> keep(std::string file) override {
        std::string text;
        if (!std::getline(std::ifstream(file), text)) return Error(errc::not_found, "no file " + file);
        const std::string kept = folder_ + "/kept-" + text;
        std::ofstream(kept) << text;
        return Kept{"arena", {text, kept, 0}};
    }
    Check prepare_check(const BuildFile& kept, const std::string&, Duration) override {
        return [broken = kept.build.find("broken") != std::string::npos]() -> Result<std::vector<std::string>> {
            if (broken) return Error(errc::bad_data, "undefined symbol: nothing");
            return std::vector<std::string>{};
        };
    }
    Result<CodePtr> load(BuildFile kept) override {
        last_ = std::make_shared<FakeCode>(kept.build, alive);
        return CodePtr(last_);
    }
    std::string installed(std::string) override { return "a"; }
    void tidy(std::string, std::vector<std::string> keep) override { kept_at_last = std::move(keep); }
    world::Changes compare(const Code& code) const override {
        world::Changes changes;
        if (code.build().find("layout") != std::string::npos || running.find("layout") != std::string::npos)
            changes.types.push_back({"Bag", world::Change::layout, {"gold: long -> short"}, 3});
        return changes;
    }
    Result<> swap(const Code& code) override {
        if (code.build().find("fails") != std::string::npos) return Error(errc::refused, "on_after_reload threw");
        running = code.build();
        swaps.push_back(running);
        return {};
    }
    Task<> start_added_services() override {
        if (!start_failure.empty()) throw Error(start_failure, "a service does not start");
        co_return;
    }
    std::string start_failure;
    Task<world::CarryReport> carry_over(CodePtr code, Duration) override {
        co_await sleep(30ms);
        running = code->build();
        swaps.push_back("carried " + running);
        now.methods.at(0).failed += cancelled;
        co_return world::CarryReport{3, 100, 0, 1};
    }
    Vitals vitals(const std::string&) const override { return now; }
    std::vector<std::string> holders(const Code&) const override { return {"Match/12: task at match.cpp:88"}; }

    std::shared_ptr<FakeCode> last() { return std::exchange(last_, nullptr); }
    std::string running = "a";
    std::vector<std::string> swaps, kept_at_last;
    Vitals now{.methods = {{"Bag.beat", 0, 0}, {"Bag.take", 0, 0}}};
    std::uint64_t cancelled = 0;  ///< Calls that end with an error while objects are carried over.
    int alive = 0;

private:
    std::string folder_;
    std::shared_ptr<FakeCode> last_;
};

}  // namespace gyre::node
