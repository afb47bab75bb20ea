#include "log_files.hpp"

#include <fcntl.h>
#include <gyre/log/backend.hpp>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

namespace gyre::cli {
namespace {

constexpr std::string_view belongs = "    ";  // how lines begin that belong to the one before
constexpr std::size_t line_bytes_max = 1u << 20;  // what has no end is cut there

bool number(std::string_view text, std::size_t at, std::size_t digits, int& value) {
    if (text.size() < at + digits) return false;
    const auto read = std::from_chars(text.data() + at, text.data() + at + digits, value);
    return read.ec == std::errc{} && read.ptr == text.data() + at + digits;
}

/// "2026-01-02T15:04:05.123Z" or with an offset, "+01:00", in place of the Z. Its length; 0: none.
std::size_t read_time(std::string_view text, std::int64_t& at_ms) {
    int year, month, day, hour, minute, second, ms;
    if (!number(text, 0, 4, year) || !number(text, 5, 2, month) || !number(text, 8, 2, day) || !number(text, 11, 2, hour) ||
        !number(text, 14, 2, minute) || !number(text, 17, 2, second) || !number(text, 20, 3, ms) || text[4] != '-' ||
        text[10] != 'T' || text[13] != ':' || text[19] != '.')
        return 0;
    using namespace std::chrono;
    const sys_days date = year_month_day(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
    at_ms = duration_cast<milliseconds>(date.time_since_epoch()).count() + ((hour * 60 + minute) * 60 + second) * 1000LL + ms;
    if (text.size() > 23 && text[23] == 'Z') return 24;
    int hours, minutes;
    if (!number(text, 24, 2, hours) || !number(text, 27, 2, minutes) || (text[23] != '+' && text[23] != '-')) return 0;
    at_ms += (text[23] == '+' ? -1 : 1) * (hours * 60 + minutes) * 60'000LL;
    return 29;
}

/// The text after `"key":"` where our own writer puts it: among the first keys.
std::string_view json_text(std::string_view line, std::string_view key) {
    const std::string begin = "\"" + std::string(key) + "\":\"";
    const auto found = line.find(begin);
    if (found == line.npos) return {};
    line.remove_prefix(found + begin.size());
    return line.substr(0, line.find('"'));
}

std::string_view word(std::string_view& rest) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const auto found = rest.substr(0, rest.find(' '));
    rest.remove_prefix(found.size());
    return found;
}

int level_of(std::string_view name) {
    const auto level = log::parse_level(name);
    return level ? static_cast<int>(*level) : -1;
}

LogEntry read_entry(std::string_view line, const LogEntry& before) {
    LogEntry entry;
    entry.at_ms = before.at_ms;
    entry.text = std::string(line) + "\n";
    if (line.starts_with(belongs)) {  // to one that was read before
        entry.level = before.level;
        entry.node = before.node;
        entry.event = before.event;
        return entry;
    }
    if (line.starts_with("{\"ts\":\"")) {
        if (!read_time(line.substr(7), entry.at_ms)) return entry;
        const auto head = line.substr(0, line.find("\"event\":\"") == line.npos ? 0 : line.size());
        entry.level = level_of(json_text(head, "level"));
        entry.event = json_text(head, "event");
        const auto node = head.find("\"node\":\"");
        if (node < head.find("\"event\":\"")) entry.node = json_text(head, "node");
        return entry;
    }
    const std::size_t time = read_time(line, entry.at_ms);
    if (time == 0) return entry;
    auto rest = line.substr(time);
    const auto level = word(rest);
    entry.level = level_of(level);
    if (entry.level < 0) return entry;
    entry.level_at = static_cast<std::size_t>(level.data() - line.data());
    entry.level_bytes = level.size();
    entry.node = word(rest);
    if (entry.node == "-") entry.node.clear();
    entry.event = word(rest);
    return entry;
}

}  // namespace

std::vector<LogFamily> find_logs(const std::string& folder) {
    static const std::regex named(R"((.+?)(?:\.(\d{4}-\d{2}-\d{2}(?:_\d{2}(?:-\d{2}){0,2})?)(?:\.(\d{1,9}))?)?\.log(\.gz)?)");
    struct Old {
        std::string period;
        int number;
        std::string path;
        auto key() const { return std::tie(period, number); }
    };
    std::map<std::string, std::vector<Old>> found;
    std::set<std::string> plain;
    std::error_code ignored;
    for (const auto& file : std::filesystem::directory_iterator(folder, ignored)) {
        const std::string name = file.path().filename();
        std::smatch parts;
        if (!std::regex_match(name, parts, named)) continue;
        if (!parts[4].matched) plain.insert(file.path());
        auto& old = found[parts[1]];
        if (parts[2].matched) old.push_back({parts[2], parts[3].matched ? std::stoi(parts[3]) : 1, file.path()});
    }
    std::vector<LogFamily> families;
    for (auto& [name, old] : found) {
        LogFamily family{name, folder + "/" + name + ".log", {}};
        std::ranges::sort(old, {}, [](const Old& one) { return one.key(); });
        for (const auto& one : old) {
            const bool twice = one.path.ends_with(".gz") && plain.contains(one.path.substr(0, one.path.size() - 3));
            if (!twice) family.old.push_back(one.path);
        }
        families.push_back(std::move(family));
    }
    return families;
}

std::unique_ptr<LogReader> LogReader::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat found{};
    if (fd < 0 || ::fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
        if (fd >= 0) ::close(fd);
        return nullptr;
    }
    void* gz = path.ends_with(".gz") ? ::gzdopen(fd, "rb") : nullptr;
    return std::unique_ptr<LogReader>(new LogReader(fd, gz, found.st_ino, path));
}

LogReader::LogReader(int fd, void* gz, ino_t inode, std::string path)
    : fd_(fd), gz_(gz), inode_(inode), path_(std::move(path)) {}

LogReader::~LogReader() {
    if (gz_) ::gzclose(static_cast<gzFile>(gz_));
    else ::close(fd_);
}

bool LogReader::read_more() {
    buffer_.erase(0, std::exchange(at_, 0));
    constexpr std::size_t piece = 256u << 10;
    const std::size_t before = buffer_.size();
    buffer_.resize(before + piece);
    const auto n = gz_ ? ::gzread(static_cast<gzFile>(gz_), buffer_.data() + before, piece)
                       : ::read(fd_, buffer_.data() + before, piece);
    buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (gz_ && n <= 0 && failure_.empty()) {
        int code = 0;
        const char* why = ::gzerror(static_cast<gzFile>(gz_), &code);
        if (code != Z_OK && code != Z_STREAM_END) failure_ = path_ + ": " + why;
    }
    return n > 0;
}

bool LogReader::take_line(std::string& line) {
    for (std::size_t searched = at_;;) {
        const auto end = buffer_.find('\n', searched);
        if (end != buffer_.npos) {
            line.assign(buffer_, at_, end - at_);
            at_ = end + 1;
            return true;
        }
        if (buffer_.size() - at_ > line_bytes_max) {
            line.assign(buffer_, at_);
            at_ = buffer_.size();
            return true;
        }
        const std::size_t waiting = buffer_.size() - at_;
        if (!read_more()) return false;
        searched = at_ + waiting;
    }
}

std::optional<LogEntry> LogReader::next() {
    for (std::string line; take_line(line);) {
        if (pending_ && line.starts_with(belongs)) {
            if (pending_->text.size() < line_bytes_max) pending_->text += line + "\n";
            continue;
        }
        auto entry = read_entry(line, last_);
        last_ = entry;
        last_.text.clear();
        auto ready = std::exchange(pending_, std::move(entry));
        if (ready) return ready;
    }
    return {};
}

std::optional<LogEntry> LogReader::finish() { return std::exchange(pending_, {}); }

}  // namespace gyre::cli
