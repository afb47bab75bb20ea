#pragma once
#include <gyre/base/bytes.hpp>
#include <gyre/base/result.hpp>
#include <string>

namespace gyre::module::detail {

/// Whole; at most 1 GiB. Errors: not_found, no_permission, too_large, bad_data (no file), io_failed.
Result<Bytes> read_file(const std::string& path);
/// All of it or nothing: written under a temporary name in the same folder, synced and renamed.
/// Errors: disk_full, no_permission, io_failed; name the path.
Result<> write_file(const std::string& path, BytesView bytes);

}  // namespace gyre::module::detail
