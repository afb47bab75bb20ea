#pragma once
#include <array>
#include <cstdint>
#include <gyre/base/bytes.hpp>
#include <gyre/base/result.hpp>
#include <string>

namespace gyre::secure {

/// 32 random bytes from the io door (seeded in the simulator); whoever calls provides them.
using Seed = std::array<std::uint8_t, 32>;

/// A 32-byte secret. Zeroed when destroyed; never printed.
class Key {
public:
    static constexpr std::size_t size = 32;

    explicit Key(const std::array<std::uint8_t, size>& bytes) noexcept : bytes_(bytes) {}
    /// Errors: bad_data when it is not 32 bytes.
    static Result<Key> from_bytes(BytesView bytes);
    Key(const Key&) noexcept = default;
    Key& operator=(const Key&) noexcept = default;
    ~Key();

    BytesView bytes() const noexcept { return bytes_; }
    /// Another key for one purpose, so that no key serves two.
    Key derive(std::string_view purpose) const;
    friend bool operator==(const Key& a, const Key& b) noexcept;  ///< Constant time.

private:
    std::array<std::uint8_t, size> bytes_;
};

/// The key in the file at `path`; when there is none, makes one from `fresh` with mode 0600. Of two that
/// create at once one wins and both get its key. Blocks on the disk: for start-up.
/// Errors: bad_config naming the file when others may read it, it is not 32 bytes, or the disk refuses.
Result<Key> load_or_create_key(const std::string& path, const Seed& fresh);

}  // namespace gyre::secure
