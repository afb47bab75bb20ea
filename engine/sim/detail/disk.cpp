#include <gyre/sim/detail/disk.hpp>

#include <algorithm>

namespace gyre::sim::detail {

DiskFault Disk::read(const DiskFile& file, std::size_t offset, std::span<std::uint8_t> out,
                     std::size_t& count) {
    count = 0;
    if (faults.chance(config.read_failure_probability)) return DiskFault::failed;
    if (offset < file.content.size()) {
        count = std::min(out.size(), file.content.size() - offset);
        std::copy_n(file.content.begin() + static_cast<std::ptrdiff_t>(offset), count, out.begin());
    }
    return DiskFault::none;
}

void Disk::resize(DiskFile& file, std::size_t size) {
    if (file.linked) used_bytes_ = used_bytes_ - file.content.size() + size;
    file.content.resize(size);
}

DiskFault Disk::write(DiskFile& file, std::size_t offset, BytesView bytes) {
    if (faults.chance(config.write_failure_probability)) return DiskFault::failed;
    const std::size_t size = file.content.size(), end = offset + bytes.size();
    if (end > size && used_bytes_ + (end - size) > config.capacity_bytes) return DiskFault::full;
    const auto at = static_cast<std::ptrdiff_t>(offset);
    const auto overwritten = static_cast<std::ptrdiff_t>(std::clamp(size, offset, end));
    DiskFile::Write write{offset, size, {}, Bytes(bytes.begin(), bytes.end())};
    if (overwritten > at)
        write.before.assign(file.content.begin() + at, file.content.begin() + overwritten);
    if (end > size) resize(file, end);
    std::copy(bytes.begin(), bytes.end(), file.content.begin() + at);
    file.unsynced.push_back(std::move(write));
    return DiskFault::none;
}

DiskFault Disk::truncate(DiskFile& file, std::size_t size) {
    if (faults.chance(config.write_failure_probability)) return DiskFault::failed;
    if (size >= file.content.size()) return DiskFault::none;
    const auto cut = file.content.begin() + static_cast<std::ptrdiff_t>(size);
    file.unsynced.push_back({size, file.content.size(), Bytes(cut, file.content.end()), {}});
    resize(file, size);
    return DiskFault::none;
}

DiskFault Disk::sync(DiskFile& file) {
    if (faults.chance(config.sync_failure_probability)) return DiskFault::failed;
    file.unsynced.clear();
    return DiskFault::none;
}

bool Disk::remove(const std::string& path) {
    const auto found = files.find(path);
    if (found == files.end()) return false;
    // What an open handle still writes into it is not counted: no path leads there.
    used_bytes_ -= found->second->content.size();
    found->second->linked = false;
    files.erase(found);
    return true;
}

void Disk::process_died() {
    ++process;
    for (auto& [path, file] : files) {
        file->readers = 0;
        file->reserved = file->exclusive = nullptr;
        file->shared = nullptr;
    }
}

void Disk::machine_died() {
    const auto put = [this](DiskFile& file, std::size_t offset, const Bytes& bytes) {
        if (file.content.size() < offset + bytes.size()) resize(file, offset + bytes.size());
        std::copy(bytes.begin(), bytes.end(),
                  file.content.begin() + static_cast<std::ptrdiff_t>(offset));
    };
    for (auto& [path, file] : files) {
        for (auto write = file->unsynced.rbegin(); write != file->unsynced.rend(); ++write) {
            put(*file, write->offset, write->before);
            resize(*file, write->size_before);
        }
        for (const auto& write : file->unsynced)
            if (faults.chance(config.unsynced_survival)) put(*file, write.offset, write.after);
        file->unsynced.clear();
    }
}

}  // namespace gyre::sim::detail
