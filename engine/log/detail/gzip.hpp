#pragma once
#include <atomic>
#include <gyre/base/result.hpp>
#include <string>

namespace gyre::log::detail {

/// Makes PATH.gz of PATH and deletes PATH: written to PATH.gz.tmp and renamed when it is complete and
/// on the disk. On an error, or when `stop` is set, PATH stays and nothing else does. Errors: refused,
/// cancelled.
Result<> gzip(const std::string& path, const std::atomic<bool>& stop);

}  // namespace gyre::log::detail
