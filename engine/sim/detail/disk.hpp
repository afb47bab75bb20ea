#pragma once
#include <array>
#include <gyre/base/bytes.hpp>
#include <gyre/sim/machine.hpp>
#include <gyre/sim/random.hpp>
#include <map>

struct sqlite3_vfs;

namespace gyre::sim::detail {

struct Host;

/// Why an operation on a file failed.
enum class DiskFault { none, failed, full };

/// Pages shared between the connections to one database in WAL mode, and their locks.
struct SharedMemory {
    static constexpr std::size_t locks = 8;
    std::vector<std::unique_ptr<Bytes>> regions;
    std::array<int, locks> readers{};
    std::array<const void*, locks> writer{};
    int users = 0;
};

/// A file, and how to forget what was not synced.
struct DiskFile {
    Bytes content;
    bool linked = true;  // has a path
    struct Write {
        std::size_t offset;
        std::size_t size_before;
        Bytes before, after;
    };
    std::vector<Write> unsynced;
    int readers = 0;  // SQLite's lock states
    const void* reserved = nullptr;
    const void* exclusive = nullptr;  // pending or held
    std::shared_ptr<SharedMemory> shared;
};

/// The files of one machine. They outlive its processes; handles of a dead one fail.
class Disk {
public:
    Disk(Host& host, Random random);
    ~Disk();
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    DiskFault read(const DiskFile& file, std::size_t offset, std::span<std::uint8_t> out,
                   std::size_t& count);
    DiskFault write(DiskFile& file, std::size_t offset, BytesView bytes);
    DiskFault truncate(DiskFile& file, std::size_t size);
    DiskFault sync(DiskFile& file);
    void process_died();
    void machine_died();  ///< After process_died(): forgets what was not synced.
    std::uint64_t used_bytes() const { return used_bytes_; }
    bool remove(const std::string& path);  ///< Open handles keep the file.
    std::string vfs_name();  ///< Registers it with SQLite at first use.

    Host& host;
    DiskConfig config;
    Random faults, entropy;
    std::map<std::string, std::shared_ptr<DiskFile>, std::less<>> files;
    std::uint64_t process = 0;  // which one; older handles are dead

private:
    void resize(DiskFile& file, std::size_t size);
    std::uint64_t used_bytes_ = 0;
    std::string vfs_name_;
    std::unique_ptr<sqlite3_vfs, void (*)(sqlite3_vfs*)> vfs_;
};

}  // namespace gyre::sim::detail
