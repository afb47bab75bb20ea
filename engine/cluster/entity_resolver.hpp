#pragma once
#include <gyre/cluster/directory.hpp>
#include <unordered_map>

namespace gyre::cluster {

/// Where entities are. The home of an entity is a node of the role of its type, by rendezvous: a
/// stored entity lives there, any other one is reported there by the node it lives on. Callers
/// ask the home, which answers where the entity is (entity_moved), and remember that.
/// Soft: while views differ an entity may be looked for in vain; loading settles who owns it.
class EntityResolver final : public rpc::Resolver {
public:
    using Roles = std::map<std::string, std::string, std::less<>>;  ///< Of each type.
    EntityResolver(const Directory& directory, Roles roles);
    void set_roles(Roles roles) { roles_ = std::move(roles); }
    void set_self(io::Endpoint self) { self_ = std::move(self); }

    /// Reported here, remembered, or its home.
    const io::Endpoint* known(EntityId id, std::string_view type) override;
    Error why_unknown(EntityId id, std::string_view type) const override;  ///< Names type and role.
    void moved(EntityId id, const io::Endpoint& to) override;
    void forget(EntityId id) override;

    /// For a node asked for an entity it does not have: who has it, or knows more. nullopt: if it
    /// is anywhere, it is to be loaded here. Does not trust what is merely remembered.
    std::optional<io::Endpoint> elsewhere(EntityId id, std::string_view type) const;
    /// The address of the home; null: no node of the role, or the type has none.
    const io::Endpoint* home(EntityId id, std::string_view type) const;

    /// An entity whose home is this node.
    void reported(EntityId id, const std::string& type, const io::Endpoint& at);
    void ended(EntityId id, const io::Endpoint& at);
    /// A link to it was lost: entities remembered there are asked for anew.
    void distrust(const io::Endpoint& node);
    /// It is no more: what it has reported is void as well.
    void node_left(const io::Endpoint& node);
    void homes_changed();  ///< Drops reports that are another node's now.

    std::size_t remembered() const { return remembered_.size(); }
    std::size_t reports() const { return reports_.size(); }

private:
    struct Report {
        io::Endpoint at;
        std::string type;
    };
    const Directory& directory_;
    Roles roles_;
    io::Endpoint self_;
    std::unordered_map<EntityId, io::Endpoint> remembered_;  // bounded: emptied when full
    std::unordered_map<EntityId, Report> reports_;
};

}  // namespace gyre::cluster
