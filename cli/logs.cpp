#include <gyre/log/backend.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <set>

#include "commands.hpp"
#include "duration.hpp"
#include "log_files.hpp"
#include "terminal.hpp"

namespace gyre::cli {
namespace {

constexpr timespec poll_pause{0, 100'000'000};
constexpr int polls_until_rescan = 10;

class Filter {
public:
    explicit Filter(const LogsOptions& options) : options_(options) {
        if (!options.level.empty()) {
            const auto level = log::parse_level(options.level);
            if (!level)
                throw Error(errc::bad_arguments, "--level " + options.level + ": expected trace, debug, info, warn or error");
            level_ = static_cast<int>(*level);
        }
        if (!options.since.empty())
            since_ms_ = std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds(1) -
                        read_duration(options.since, "--since").count();
    }
    bool file(const LogFamily& family) const {
        const bool named = std::ranges::count(options_.nodes, family.name);
        return named || family.name != "etcd";  // etcd's own form: when it is asked for
    }
    bool wants(const LogFamily& family, const LogEntry& entry) const {
        if (entry.at_ms < since_ms_) return false;
        if (level_ >= 0 && entry.level < level_) return false;
        if (!options_.nodes.empty() && !std::ranges::count(options_.nodes, family.name) &&
            !std::ranges::count(options_.nodes, entry.node))
            return false;
        if (!entry.event.starts_with(options_.event)) return false;
        return options_.grep.empty() || entry.text.find(options_.grep) != entry.text.npos;
    }
    std::int64_t since_ms() const { return since_ms_; }

private:
    const LogsOptions& options_;
    int level_ = -1;
    std::int64_t since_ms_ = 0;
};

void print(const LogEntry& entry) {
    constexpr Style styles[] = {Style::dim, Style::dim, Style::green, Style::yellow, Style::red};
    if (entry.level_bytes == 0) {
        std::fputs(entry.text.c_str(), stdout);
        return;
    }
    const std::string_view text = entry.text;
    const auto level = text.substr(entry.level_at, entry.level_bytes);
    std::fwrite(text.data(), 1, entry.level_at, stdout);
    std::fputs(styled(STDOUT_FILENO, styles[entry.level], level).c_str(), stdout);
    const auto rest = text.substr(entry.level_at + entry.level_bytes);
    std::fwrite(rest.data(), 1, rest.size(), stdout);
}

/// One log: what was written, then what is being written.
class Tail {
public:
    Tail(LogFamily family, const Filter& filter) : family_(std::move(family)), filter_(filter) {
        reader_ = LogReader::open(family_.current);
        for (const auto& path : family_.old) {
            known_.insert(plain(path));
            struct stat found{};  // one that was moved just now is read once
            if (!reader_ || ::stat(path.c_str(), &found) != 0 || found.st_ino != reader_->inode()) files_.push_back(path);
        }
    }
    /// Leaves out the old files without which at least `lines` remain.
    void begin_with_last(std::size_t lines) {
        std::size_t found = 0;
        if (const auto counted = LogReader::open(family_.current)) found = count(*counted);
        std::size_t first = files_.size();
        while (first > 0 && (lines == 0 || found < lines)) {
            const auto counted = LogReader::open(files_[--first]);
            if (counted) found += count(*counted);
            if (counted && oldest_ms_ < filter_.since_ms()) break;
        }
        files_.erase(files_.begin(), files_.begin() + static_cast<std::ptrdiff_t>(first));
    }
    /// The next that is wanted, of all that is written. Nothing: the end, so far.
    std::optional<LogEntry> next() {
        for (;;) {
            if (!old_ && !files_.empty()) {
                old_ = LogReader::open(files_.front());
                files_.erase(files_.begin());
                if (!old_) continue;
            }
            LogReader* reader = old_ ? old_.get() : reader_.get();
            if (!reader) return {};
            auto entry = reader->next();
            if (!entry) entry = reader->finish();
            if (!entry && old_) {
                if (!old_->failure().empty()) say(old_->failure());
                old_.reset();
                continue;
            }
            if (!entry || filter_.wants(family_, *entry)) return entry;
        }
    }
    /// Goes on to the next file when the one it reads has been moved away and is read to its end.
    void follow(const std::string& folder) {
        struct stat found{};
        if (::stat(family_.current.c_str(), &found) != 0) return;
        if (reader_ && found.st_ino == reader_->inode()) return;
        if (reader_ && !std::exchange(moved_, true)) return;  // who wrote it may have written until now
        moved_ = false;
        // Of the files that have come, the first is the one that was read; others were full before we looked.
        bool first = reader_ != nullptr;
        for (const auto& family : find_logs(folder))
            for (const auto& path : family.old)
                if (family.name == family_.name && known_.insert(plain(path)).second && !std::exchange(first, false))
                    files_.push_back(path);
        reader_ = LogReader::open(family_.current);
    }
    const std::string& name() const { return family_.name; }

private:
    std::size_t count(LogReader& reader) {
        std::size_t found = 0;
        oldest_ms_ = 0;
        const auto look = [&](const std::optional<LogEntry>& entry) {
            if (!entry) return false;
            if (oldest_ms_ == 0) oldest_ms_ = entry->at_ms;
            found += filter_.wants(family_, *entry);
            return true;
        };
        while (look(reader.next())) {}
        look(reader.finish());
        return found;
    }
    static std::string plain(const std::string& path) {
        return path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
    }
    LogFamily family_;
    const Filter& filter_;
    std::set<std::string> known_;     // old files, without .gz
    std::vector<std::string> files_;  // still to be read, oldest first
    std::unique_ptr<LogReader> old_, reader_;
    std::int64_t oldest_ms_ = 0;
    bool moved_ = false;
};

/// Entries of all logs by time; of those, the last `lines`.
void print_history(std::vector<std::unique_ptr<Tail>>& tails, std::size_t lines) {
    std::vector<std::optional<LogEntry>> heads;
    for (auto& tail : tails) {
        tail->begin_with_last(lines);
        heads.push_back(tail->next());
    }
    std::deque<LogEntry> last;
    for (;;) {
        std::optional<LogEntry>* first = nullptr;
        std::size_t at = 0;
        for (std::size_t i = 0; i < heads.size(); ++i)
            if (heads[i] && (!first || heads[i]->at_ms < (*first)->at_ms)) first = &heads[i], at = i;
        if (!first) break;
        if (lines == 0) print(**first);
        else last.push_back(std::move(**first));
        if (lines != 0 && last.size() > lines) last.pop_front();
        *first = tails[at]->next();
    }
    for (const auto& entry : last) print(entry);
    std::fflush(stdout);
}

/// A node nobody has heard of is a misspelt one.
void check_names(const LogsOptions& options, const node::DataFolder& folder, const std::vector<LogFamily>& families) {
    std::vector<std::string> known;
    for (const auto& family : families) known.push_back(family.name);
    if (const auto file = folder.cluster())
        for (const auto& spec : file->config) known.push_back(spec.name);
    else if (std::ranges::count(known, "gyre")) return;  // its lines name them
    std::ranges::sort(known);
    known.erase(std::unique(known.begin(), known.end()), known.end());
    for (const auto& name : options.nodes) {
        if (std::ranges::count(known, name)) continue;
        std::string all;
        for (const auto& one : known) all += (all.empty() ? "" : ", ") + one;
        throw Error(errc::not_found, "no node " + name + "; there are " + all);
    }
}

}  // namespace

int logs(const LogsOptions& options) {
    const auto data = node::DataFolder::find(options.data).value();
    const std::string folder = data.file("logs");
    const Filter filter(options);
    const auto families = find_logs(folder);
    check_names(options, data, families);
    std::vector<std::unique_ptr<Tail>> tails;
    for (const auto& family : families)
        if (filter.file(family)) tails.push_back(std::make_unique<Tail>(family, filter));
    if (tails.empty() && !options.follow) throw Error(errc::not_found, "no logs in " + folder);
    print_history(tails, options.lines);
    for (int polls = 0; options.follow; ++polls) {
        ::nanosleep(&poll_pause, nullptr);
        if (polls % polls_until_rescan == 0)
            for (const auto& family : find_logs(folder))
                if (filter.file(family) && !std::ranges::count(tails, family.name, [](const auto& t) { return t->name(); }))
                    tails.push_back(std::make_unique<Tail>(family, filter));
        std::multimap<std::int64_t, LogEntry> fresh;  // of one time: in the order of their coming
        for (auto& tail : tails) {
            while (auto entry = tail->next()) fresh.emplace(entry->at_ms, std::move(*entry));
            tail->follow(folder);
        }
        for (const auto& [at_ms, entry] : fresh) print(entry);
        if (!fresh.empty()) std::fflush(stdout);
    }
    return node::exit_code::ok;
}

}  // namespace gyre::cli
