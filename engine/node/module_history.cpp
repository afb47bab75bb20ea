#include <fcntl.h>
#include <gyre/codec/json.hpp>
#include <gyre/node/module_history.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace gyre::node {
namespace {

constexpr std::size_t bad_max = 16;

bool sync_folder(const std::string& file) {
    const int fd = ::open(file.substr(0, file.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = fd >= 0 && ::fsync(fd) == 0;
    if (fd >= 0) ::close(fd);
    return synced;
}

}  // namespace

NodeHistory NodeHistory::load(std::string path, std::string* problem) {
    NodeHistory history;
    history.path_ = std::move(path);
    std::ifstream file(history.path_, std::ios::binary);
    if (!file) return history;
    const std::string text(std::istreambuf_iterator<char>(file), {});
    auto read = from_json<std::vector<ModuleHistory>>(text);
    if (read) history.modules_ = *std::move(read);
    else if (problem) *problem = history.path_ + ": " + read.error().message();
    return history;
}

Result<> NodeHistory::save() const {
    const std::string aside = path_ + ".new", text = to_json(modules_, true) + "\n";
    const auto refused = [this, &aside] {
        Error error(errc::refused, "cannot write " + path_ + ": " + std::strerror(errno));
        ::unlink(aside.c_str());
        return error;
    };
    const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return refused();
    errno = ENOSPC;
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         ::fsync(fd) == 0;
    ::close(fd);
    if (!written || ::rename(aside.c_str(), path_.c_str()) != 0 || !sync_folder(path_)) return refused();
    return {};
}

ModuleHistory& NodeHistory::of(const std::string& module) {
    const auto found = std::ranges::find(modules_, module, &ModuleHistory::module);
    if (found != modules_.end()) return *found;
    modules_.push_back({});
    modules_.back().module = module;
    return modules_.back();
}

const ModuleHistory* NodeHistory::find(const std::string& module) const {
    const auto found = std::ranges::find(modules_, module, &ModuleHistory::module);
    return found == modules_.end() ? nullptr : &*found;
}

NodeHistory::Start NodeHistory::start(const std::string& module, const BuildFile& installed,
                                      const std::string& engine) {
    ModuleHistory& history = of(module);
    Start start;
    if (history.probation && history.trusted.build != history.current.build) {
        start.died = history.current;
        roll_back(module);
    }
    history.probation = false;
    const bool changed = history.installed != installed.build;
    // What was built for another engine may not fit this one.
    const bool other_engine = !history.engine.empty() && history.engine != engine;
    const bool bad = !other_engine && std::ranges::count(history.bad, installed.build) > 0;
    const bool lost = history.current.file.empty() || ::access(history.current.file.c_str(), R_OK) != 0;
    if (((changed && !bad) || lost || other_engine) && history.current.build != installed.build) {
        if (!lost) history.previous.insert(history.previous.begin(), history.current);
        history.current = installed;
        history.who = "start";
    } else if (lost) {
        history.current.file = installed.file;
    }
    history.installed = installed.build;
    history.engine = engine;
    start.use = history.current;
    return start;
}

void NodeHistory::replace(const std::string& module, const BuildFile& with) {
    ModuleHistory& history = of(module);
    history.current = with;
    history.probation = false;
}

void NodeHistory::begin(const std::string& module, const BuildFile& to, const std::string& who,
                        const std::string& installed, std::size_t keep) {
    ModuleHistory& history = of(module);
    if (!history.probation) history.trusted = history.current;
    history.previous.insert(history.previous.begin(), history.current);
    std::erase_if(history.previous, [&to](const BuildFile& file) { return file.build == to.build; });
    if (history.previous.size() > keep) history.previous.resize(keep);
    std::erase(history.bad, to.build);
    history.current = to;
    history.installed = installed;
    history.probation = true;
    history.who = who;
}

void NodeHistory::confirm(const std::string& module) { of(module).probation = false; }

void NodeHistory::roll_back(const std::string& module) {
    ModuleHistory& history = of(module);
    std::erase(history.bad, history.current.build);
    history.bad.push_back(history.current.build);
    if (history.bad.size() > bad_max) history.bad.erase(history.bad.begin());
    history.current = history.trusted;
    std::erase_if(history.previous, [&history](const auto& file) { return file.build == history.current.build; });
    history.probation = false;
}

}  // namespace gyre::node
