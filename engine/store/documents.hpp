#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/task/task.hpp>
#include <optional>
#include <string>
#include <vector>

namespace gyre::store {

/// Codes of this module, besides those of gyre::errc. Messages name the file or server.
inline constexpr std::string_view disk_full = "disk_full";          // Nothing was changed.
inline constexpr std::string_view corrupt = "corrupt";              // What is stored is damaged.
inline constexpr std::string_view no_permission = "no_permission";  // Of the file or folder.
inline constexpr std::string_view busy = "busy";  // Another process held the database.
inline constexpr std::string_view io_failed =
    "io_failed";  // The disk failed; it may have happened.

inline constexpr std::size_t key_bytes_max = 256;         ///< Of a collection or key, [1, 256].
inline constexpr std::size_t value_bytes_max = 15 << 20;  ///< What every kind of database takes.

/// A node in one of its lives.
struct Owner {
    std::string node;  ///< Empty: nobody.
    std::uint64_t incarnation = 0;
    friend bool operator==(const Owner&, const Owner&) = default;
};

struct Document {
    std::string key;
    Bytes value;                ///< msgpack, structs as maps by field name.
    std::uint64_t version = 0;  ///< 1 when created; one more with each change of the value.
    Owner owner;                ///< Who may save it.
    std::uint64_t epoch = 0;    ///< How often it was claimed.
};

/// Documents by collection and key. Each call is atomic and acknowledged after the database has
/// it on disk. A call that was begun is not cancelled. Use only on the loop that opened it.
///
/// A document is either claimed, then only its owner saves it (the epoch fences all others), or
/// it is nobody's, then anyone replaces it by version. A unique name is a document of which it is
/// the key: the second insert() of it is refused.
///
/// Errors of all: overloaded (too many calls wait), bad_arguments, too_large, disk_full, corrupt,
/// no_permission, busy, io_failed. After any of them but io_failed nothing has changed.
class Documents {
public:
    virtual ~Documents() = default;

    virtual Task<std::optional<Document>> find(std::string collection, std::string key) = 0;

    /// Owned by nobody, epoch 0. Error: conflict, when it exists.
    virtual Task<Document> insert(std::string collection, std::string key, Bytes value) = 0;

    /// Makes `me` the owner under a new epoch, which fences every earlier owner. Needs: the
    /// document has epoch `expected_epoch`; without one: nobody owns it. A missing one is created
    /// with epoch 1 and `initial_if_missing`.
    /// Errors: conflict, naming the owner and epoch; not_found, when missing and without initial.
    virtual Task<Document> claim(std::string collection, std::string key, Owner me,
                                 std::optional<std::uint64_t> expected_epoch,
                                 std::optional<Bytes> initial_if_missing) = 0;

    /// By the owner. Error: fenced, naming who holds it now; nothing was changed.
    virtual Task<> save(std::string collection, std::string key, Bytes value,
                        std::uint64_t epoch) = 0;

    /// The owner gives it up; the epoch stays. Error: fenced.
    virtual Task<> release(std::string collection, std::string key, std::uint64_t epoch) = 0;

    /// Changes a document that nobody owns. Errors: conflict, when it is missing or has another
    /// version; fenced, when it has an owner.
    virtual Task<> replace(std::string collection, std::string key, Bytes value,
                           std::uint64_t version) = 0;

    /// Of a claimed document: by its owner, with the epoch. False when there is none.
    /// Error: fenced.
    virtual Task<bool> erase(std::string collection, std::string key,
                             std::optional<std::uint64_t> epoch = {}) = 0;

    /// At most `limit` documents whose keys begin with `prefix`, by key in byte order, after the
    /// key `after`: pass the last key to go on.
    virtual Task<std::vector<Document>> list(std::string collection, std::string prefix,
                                             std::size_t limit, std::string after = {}) = 0;
};

}  // namespace gyre::store
