#include <fcntl.h>
#include <gyre/codec/json.hpp>
#include <gyre/node/audit.hpp>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>

namespace gyre::node {

Result<> AuditLog::append(const AuditEntry& entry) const {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const auto refused = [this](int reason) {
        return Error(errc::refused, "audit log " + path_ + ": " + std::strerror(reason));
    };
    if (fd < 0) return refused(errno);
    // After half a line of one who died in it, a line of its own.
    std::string line = to_json(entry) + "\n";
    char last = '\n';
    const auto size = ::lseek(fd, 0, SEEK_END);
    if (size > 0 && ::pread(fd, &last, 1, size - 1) == 1 && last != '\n') line.insert(0, "\n");
    const bool written = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    const int reason = written && ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (reason || !written) return refused(reason ? reason : ENOSPC);
    return {};
}

std::vector<AuditEntry> AuditLog::read(std::size_t limit) const {
    std::deque<std::string> lines;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) {
        lines.push_back(std::move(line));
        if (lines.size() > limit) lines.pop_front();
    }
    std::vector<AuditEntry> entries;
    for (const auto& line : lines)
        if (auto entry = from_json<AuditEntry>(line)) entries.push_back(*std::move(entry));
    return entries;
}

}  // namespace gyre::node
