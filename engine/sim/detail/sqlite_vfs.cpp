// SQLite's view of a simulated disk: https://www.sqlite.org/c3ref/io_methods.html

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <gyre/sim/detail/host.hpp>
#include <new>

namespace gyre::sim::detail {
namespace {

struct Handle {
    sqlite3_file base;  // first: SQLite knows the handle by it
    Disk* disk;
    std::shared_ptr<DiskFile> file;
    std::shared_ptr<SharedMemory> shared;
    std::string delete_on_close;
    std::uint64_t process;
    int level = SQLITE_LOCK_NONE;
    unsigned shared_locks = 0, exclusive_locks = 0;  // bit per lock of the shared memory

    bool alive() const { return process == disk->process && disk->host.alive; }
};

Handle& handle_of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }
Disk& disk_of(sqlite3_vfs* vfs) { return *static_cast<Disk*>(vfs->pAppData); }

int code(DiskFault fault, int failure) {
    if (fault == DiskFault::none) return SQLITE_OK;
    return fault == DiskFault::full ? SQLITE_FULL : failure;
}

int read_file(sqlite3_file* base, void* out, int bytes, sqlite3_int64 offset) {
    Handle& handle = handle_of(base);
    if (!handle.alive()) return SQLITE_IOERR_READ;
    const auto wanted = static_cast<std::size_t>(bytes);
    std::size_t count = 0;
    auto* to = static_cast<std::uint8_t*>(out);
    const DiskFault fault =
        handle.disk->read(*handle.file, static_cast<std::size_t>(offset), {to, wanted}, count);
    if (fault != DiskFault::none) return SQLITE_IOERR_READ;
    std::memset(to + count, 0, wanted - count);
    return count < wanted ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

int write_file(sqlite3_file* base, const void* from, int bytes, sqlite3_int64 offset) {
    Handle& handle = handle_of(base);
    if (!handle.alive()) return SQLITE_IOERR_WRITE;
    const BytesView view(static_cast<const std::uint8_t*>(from), static_cast<std::size_t>(bytes));
    return code(handle.disk->write(*handle.file, static_cast<std::size_t>(offset), view),
                SQLITE_IOERR_WRITE);
}

int truncate_file(sqlite3_file* base, sqlite3_int64 size) {
    Handle& handle = handle_of(base);
    if (!handle.alive()) return SQLITE_IOERR_TRUNCATE;
    return code(handle.disk->truncate(*handle.file, static_cast<std::size_t>(size)),
                SQLITE_IOERR_TRUNCATE);
}

int sync_file(sqlite3_file* base, int) {
    Handle& handle = handle_of(base);
    if (!handle.alive()) return SQLITE_IOERR_FSYNC;
    return code(handle.disk->sync(*handle.file), SQLITE_IOERR_FSYNC);
}

int file_size(sqlite3_file* base, sqlite3_int64* out) {
    *out = static_cast<sqlite3_int64>(handle_of(base).file->content.size());
    return SQLITE_OK;
}

int unlock(sqlite3_file* base, int level) {
    Handle& handle = handle_of(base);
    if (handle.alive()) {
        DiskFile& file = *handle.file;
        if (handle.level > SQLITE_LOCK_SHARED && level <= SQLITE_LOCK_SHARED) {
            if (file.reserved == &handle) file.reserved = nullptr;
            if (file.exclusive == &handle) file.exclusive = nullptr;
        }
        if (handle.level >= SQLITE_LOCK_SHARED && level == SQLITE_LOCK_NONE) --file.readers;
    }
    handle.level = std::min(handle.level, level);
    return SQLITE_OK;
}

int lock(sqlite3_file* base, int level) {
    Handle& handle = handle_of(base);
    if (!handle.alive()) return SQLITE_IOERR_LOCK;
    DiskFile& file = *handle.file;
    if (handle.level >= level) return SQLITE_OK;
    const auto others = [&handle](const void* owner) { return owner && owner != &handle; };
    if (handle.level == SQLITE_LOCK_NONE) {
        if (others(file.exclusive)) return SQLITE_BUSY;
        ++file.readers;
        handle.level = SQLITE_LOCK_SHARED;
    }
    if (level >= SQLITE_LOCK_RESERVED) {
        if (others(file.reserved) || others(file.exclusive)) return SQLITE_BUSY;
        file.reserved = &handle;
        handle.level = std::max(handle.level, SQLITE_LOCK_RESERVED);
    }
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        file.exclusive = &handle;
        handle.level = SQLITE_LOCK_PENDING;
        if (file.readers > 1) return SQLITE_BUSY;
        handle.level = SQLITE_LOCK_EXCLUSIVE;
    }
    return SQLITE_OK;
}

int check_reserved(sqlite3_file* base, int* out) {
    const DiskFile& file = *handle_of(base).file;
    *out = file.reserved || file.exclusive;
    return SQLITE_OK;
}

int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return 4096; }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int shm_map(sqlite3_file* base, int region, int bytes, int extend, void volatile** out) {
    Handle& handle = handle_of(base);
    *out = nullptr;
    if (!handle.alive()) return SQLITE_IOERR_SHMMAP;
    if (!handle.shared) {
        if (!handle.file->shared) handle.file->shared = std::make_shared<SharedMemory>();
        handle.shared = handle.file->shared;
        ++handle.shared->users;
    }
    auto& regions = handle.shared->regions;
    const auto index = static_cast<std::size_t>(region);
    if (index >= regions.size() && !extend) return SQLITE_OK;
    while (regions.size() <= index)
        regions.push_back(std::make_unique<Bytes>(static_cast<std::size_t>(bytes)));
    *out = regions[index]->data();
    return SQLITE_OK;
}

int shm_lock(sqlite3_file* base, int offset, int count, int flags) {
    Handle& handle = handle_of(base);
    if (!handle.alive() || !handle.shared) return SQLITE_IOERR_SHMLOCK;
    SharedMemory& shared = *handle.shared;
    const auto first = static_cast<std::size_t>(offset);
    const auto last = first + static_cast<std::size_t>(count);
    const bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    if (flags & SQLITE_SHM_LOCK)
        for (std::size_t i = first; i < last; ++i) {
            const bool reads = handle.shared_locks >> i & 1;
            if (shared.writer[i] && shared.writer[i] != &handle) return SQLITE_BUSY;
            if (exclusive && shared.readers[i] > (reads ? 1 : 0)) return SQLITE_BUSY;
        }
    for (std::size_t i = first; i < last; ++i) {
        unsigned& held = exclusive ? handle.exclusive_locks : handle.shared_locks;
        const unsigned bit = 1u << i;
        if (flags & SQLITE_SHM_LOCK) {
            if (held & bit) continue;
            held |= bit;
            if (exclusive) shared.writer[i] = &handle;
            else ++shared.readers[i];
        } else if (held & bit) {
            held &= ~bit;
            if (exclusive) shared.writer[i] = nullptr;
            else --shared.readers[i];
        }
    }
    return SQLITE_OK;
}

void shm_barrier(sqlite3_file*) {}

int shm_unmap(sqlite3_file* base, int remove) {
    Handle& handle = handle_of(base);
    if (!handle.shared) return SQLITE_OK;
    if (handle.alive()) {
        const int all = static_cast<int>(SharedMemory::locks);
        (void)shm_lock(base, 0, all, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
        (void)shm_lock(base, 0, all, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    }
    if (--handle.shared->users == 0 && remove && handle.file->shared == handle.shared)
        handle.file->shared = nullptr;
    handle.shared = nullptr;
    return SQLITE_OK;
}

int close_file(sqlite3_file* base) {
    Handle& handle = handle_of(base);
    (void)shm_unmap(base, 0);
    (void)unlock(base, SQLITE_LOCK_NONE);
    if (handle.alive() && !handle.delete_on_close.empty())
        (void)handle.disk->remove(handle.delete_on_close);
    handle.~Handle();
    return SQLITE_OK;
}

constexpr sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = file_size,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = check_reserved,
    .xFileControl = file_control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs* vfs, const char* path, sqlite3_file* base, int flags, int* out_flags) {
    base->pMethods = nullptr;  // SQLite closes no handle without
    Disk& disk = disk_of(vfs);
    if (!disk.host.alive) return SQLITE_CANTOPEN;
    std::shared_ptr<DiskFile> file;
    if (path) {
        const auto found = disk.files.find(path);
        if (found != disk.files.end()) file = found->second;
        if (file ? (flags & SQLITE_OPEN_EXCLUSIVE) != 0 : (flags & SQLITE_OPEN_CREATE) == 0)
            return SQLITE_CANTOPEN;
    }
    if (!file) {
        file = std::make_shared<DiskFile>();
        file->linked = path != nullptr;
        if (path) disk.files.emplace(path, file);
    }
    auto* handle = new (base) Handle{.base = {&methods},
                                     .disk = &disk,
                                     .file = std::move(file),
                                     .shared = nullptr,
                                     .delete_on_close = {},
                                     .process = disk.process};
    if (path && (flags & SQLITE_OPEN_DELETEONCLOSE)) handle->delete_on_close = path;
    if (out_flags) *out_flags = flags;
    return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* path, int) {
    Disk& disk = disk_of(vfs);
    if (!disk.host.alive) return SQLITE_IOERR_DELETE;
    return disk.remove(path) ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
}

int access_file(sqlite3_vfs* vfs, const char* path, int, int* out) {
    *out = disk_of(vfs).files.contains(path);
    return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* path, int limit, char* out) {
    if (std::strlen(path) >= static_cast<std::size_t>(limit)) return SQLITE_CANTOPEN;
    std::strcpy(out, path);
    return SQLITE_OK;
}

int randomness(sqlite3_vfs* vfs, int bytes, char* out) {
    disk_of(vfs).entropy.fill(
        {reinterpret_cast<std::uint8_t*>(out), static_cast<std::size_t>(bytes)});
    return bytes;
}

int sleep_for(sqlite3_vfs*, int microseconds) { return microseconds; }

int current_time_ms(sqlite3_vfs* vfs, sqlite3_int64* out) {
    constexpr sqlite3_int64 epoch_ms = 210866760000000;  // of 1970 in Julian days
    const auto now = disk_of(vfs).host.machine.wall_now().time_since_epoch();
    *out = epoch_ms + std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    return SQLITE_OK;
}
int current_time(sqlite3_vfs* vfs, double* out) {
    sqlite3_int64 ms = 0;
    (void)current_time_ms(vfs, &ms);
    *out = static_cast<double>(ms) / 86'400'000.0;
    return SQLITE_OK;
}
int last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

Disk::Disk(Host& h, Random random)
    : host(h),
      faults(random.fork("faults")),
      entropy(random.fork("entropy")),
      vfs_(nullptr, [](sqlite3_vfs* vfs) {
          sqlite3_vfs_unregister(vfs);
          delete vfs;
      }) {}

Disk::~Disk() = default;

std::string Disk::vfs_name() {
    if (vfs_) return vfs_name_;
    GYRE_ASSERT(sqlite3_initialize() == SQLITE_OK, "SQLite starts");
    const std::string stem = "sim-" + host.name;
    vfs_name_ = stem;
    for (int i = 2; sqlite3_vfs_find(vfs_name_.c_str()); ++i)  // of another world
        vfs_name_ = stem + "-" + std::to_string(i);
    // SQL random() draws from one generator of the process.
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(entropy.next() >> 34) + 1,
                         nullptr);
    vfs_.reset(new sqlite3_vfs{
        .iVersion = 2,
        .szOsFile = sizeof(Handle),
        .mxPathname = 512,
        .pNext = nullptr,
        .zName = vfs_name_.c_str(),
        .pAppData = this,
        .xOpen = open_file,
        .xDelete = delete_file,
        .xAccess = access_file,
        .xFullPathname = full_path,
        .xDlOpen = nullptr,
        .xDlError = nullptr,
        .xDlSym = nullptr,
        .xDlClose = nullptr,
        .xRandomness = randomness,
        .xSleep = sleep_for,
        .xCurrentTime = current_time,
        .xGetLastError = last_error,
        .xCurrentTimeInt64 = current_time_ms,
        .xSetSystemCall = nullptr,
        .xGetSystemCall = nullptr,
        .xNextSystemCall = nullptr,
    });
    sqlite3_vfs_register(vfs_.get(), 0);
    return vfs_name_;
}

}  // namespace gyre::sim::detail
