#pragma once
#include <gyre/base/error.hpp>
#include <gyre/base/id.hpp>
#include <gyre/io/io.hpp>
#include <optional>

namespace gyre::rpc {

/// What a node answers to a call to an entity that is not there: it has not run; where the entity
/// is, or who knows. Code entity_moved, text "ID HOST:PORT".
Error moved_error(EntityId entity, const io::Endpoint& to);
/// The address, when `error` is that answer and about this entity.
std::optional<io::Endpoint> read_moved(const Error& error, EntityId entity);

/// `error` says of this entity that it is gone: not of another that its method called.
bool says_gone(const Error& error, EntityId entity);

}  // namespace gyre::rpc
