#pragma once
#include <gyre/store/detail/sqlite.hpp>
#include <gyre/store/store.hpp>
#include <memory>

namespace gyre::store::detail {

/// Blocks. Throws DatabaseFailure and Error, see store::open().
std::unique_ptr<Connection> open_database(const StoreConfig& config, const std::string& vfs);

}  // namespace gyre::store::detail
