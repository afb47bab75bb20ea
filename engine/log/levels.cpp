#include <algorithm>
#include <array>
#include <gyre/log/backend.hpp>
#include <mutex>

namespace gyre::log {
namespace detail {

constinit std::atomic<Level> threshold = Level::info;

namespace {

constexpr std::size_t modules_max = 64, name_bytes_max = 64;

/// Hash of a module's name and its level in one word; probed from the hash's place on. A change fills
/// the other of two and then shows it; who saw the changes go on meanwhile looks again.
struct Table {
    static constexpr std::size_t slots = 2 * modules_max;
    std::array<std::atomic<std::uint64_t>, slots> words;

    static constexpr std::uint64_t level_bits = 0xff;
    static std::size_t place(std::uint64_t hash) { return hash >> 57; }
    static std::size_t next(std::size_t place) { return (place + 1) % slots; }
};
static_assert(Table::slots == 1u << (64 - 57));

constinit std::array<Table, 2> tables;
constinit std::atomic<const Table*> shown = nullptr;  // null: no module has its own level
constinit std::atomic<std::uint64_t> changes = 0;    // begun
constinit std::atomic<Level> common = Level::info;

struct Own {
    std::mutex mutex;
    std::vector<std::pair<std::string, Level>> modules;
};
Own& own() {
    static Own* const one = new Own;  // never destroyed: destructors of statics may log
    return *one;
}

/// Of the name up to its first '.'.
std::uint64_t module_hash(std::string_view event) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : event) {
        if (c == '.') break;
        hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    }
    hash ^= hash >> 32;
    return hash * 0x9e3779b97f4a7c15;
}

/// Needs the mutex.
void show(const Own& from) {
    changes.fetch_add(1, std::memory_order_relaxed);
    Level least = common.load(std::memory_order_relaxed);
    Table& table = tables[shown.load() == &tables[0] ? 1 : 0];
    for (auto& word : table.words) word.store(0, std::memory_order_release);
    for (const auto& [module, level] : from.modules) {
        const std::uint64_t hash = module_hash(module);
        std::size_t at = Table::place(hash);
        while (table.words[at].load(std::memory_order_relaxed) != 0) at = Table::next(at);
        table.words[at].store((hash & ~Table::level_bits) | (static_cast<std::uint64_t>(level) + 1),
                              std::memory_order_release);
        least = std::min(least, level);
    }
    shown.store(from.modules.empty() ? nullptr : &table, std::memory_order_release);
    threshold.store(least, std::memory_order_relaxed);
}

/// What the table says of a module, common where it says nothing.
Level level_in(const Table& table, std::uint64_t hash) {
    std::size_t at = Table::place(hash);
    for (std::size_t probes = 0; probes < Table::slots; ++probes, at = Table::next(at)) {
        const std::uint64_t word = table.words[at].load(std::memory_order_acquire);
        if (word == 0) break;
        if (((word ^ hash) & ~Table::level_bits) == 0)
            return static_cast<Level>((word & Table::level_bits) - 1);
    }
    return common.load(std::memory_order_relaxed);
}

}  // namespace

bool passes(Level level, std::string_view event) noexcept {
    if (!shown.load(std::memory_order_relaxed))
        return level >= common.load(std::memory_order_relaxed);
    const std::uint64_t hash = module_hash(event);
    for (;;) {  // again only while levels change at this very moment
        const std::uint64_t before = changes.load(std::memory_order_acquire);
        const Table* const table = shown.load(std::memory_order_acquire);
        const Level least = table ? level_in(*table, hash) : common.load(std::memory_order_relaxed);
        if (changes.load(std::memory_order_relaxed) == before) return level >= least;
    }
}

}  // namespace detail

void set_level(Level level) noexcept {
    auto& own = detail::own();
    std::lock_guard lock(own.mutex);
    detail::common.store(level, std::memory_order_relaxed);
    detail::show(own);
}
Level level() noexcept { return detail::common.load(std::memory_order_relaxed); }

bool set_level(std::string_view module, std::optional<Level> level) {
    if (module.empty() || module.size() > detail::name_bytes_max || module.find('.') != module.npos) return false;
    auto& own = detail::own();
    std::lock_guard lock(own.mutex);
    const auto at = std::ranges::lower_bound(own.modules, module, {}, [](const auto& m) {
        return std::string_view(m.first);
    });
    const bool found = at != own.modules.end() && at->first == module;
    if (found && level) {
        at->second = *level;
    } else if (found) {
        own.modules.erase(at);
    } else if (level) {
        if (own.modules.size() == detail::modules_max) return false;
        own.modules.emplace(at, module, *level);
    }
    detail::show(own);
    return true;
}
std::vector<std::pair<std::string, Level>> module_levels() {
    auto& own = detail::own();
    std::lock_guard lock(own.mutex);
    return own.modules;
}

namespace {
constexpr std::array<std::string_view, 5> names = {"trace", "debug", "info", "warn", "error"};
}
std::string_view name(Level level) { return names[static_cast<std::size_t>(level)]; }
std::optional<Level> parse_level(std::string_view name) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) return static_cast<Level>(i);
    }
    return std::nullopt;
}

}  // namespace gyre::log
