#pragma once
#include <gyre/store/detail/group_commit.hpp>

namespace gyre::store::detail {

std::unique_ptr<Documents> make_sqlite_documents(std::shared_ptr<GroupCommit> commits);
std::unique_ptr<Keys> make_sqlite_keys(std::shared_ptr<GroupCommit> commits);

/// Errors: bad_arguments, too_large.
void check_key(std::string_view what, std::string_view key);
void check_value(std::string_view key, std::size_t bytes);

}  // namespace gyre::store::detail
