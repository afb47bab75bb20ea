#include <gyre/rpc/moved.hpp>

namespace gyre::rpc {

Error moved_error(EntityId entity, const io::Endpoint& to) {
    return Error(errc::entity_moved, std::to_string(entity) + " " + to.to_string());
}

std::optional<io::Endpoint> read_moved(const Error& error, EntityId entity) {
    const std::string head = std::to_string(entity) + " ";
    if (!error.is(errc::entity_moved) || !error.message().starts_with(head)) return {};
    auto to = io::Endpoint::parse(std::string_view(error.message()).substr(head.size()));
    return to ? std::optional(*std::move(to)) : std::nullopt;
}

bool says_gone(const Error& error, EntityId entity) {
    return error.is(errc::entity_gone) &&
           error.message().find(std::to_string(entity)) != std::string::npos;
}

}  // namespace gyre::rpc
