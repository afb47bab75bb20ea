#pragma once
#include <gyre/module/node.hpp>

namespace gyre::module {

/// Tells the homes of entities that are not stored where these live (EntityResolver). At the end
/// of the turn in which they come or go, and all again when homes change. One for a node.
class Locations {
public:
    Locations(world::Host& host, cluster::Directory& directory, cluster::EntityResolver& resolver,
              Scope& scope);
    ~Locations();

private:
    struct Change {
        EntityId id;
        std::string_view type;
        bool here;
    };
    void report_all(std::string_view role);
    void flush();
    world::Host& host_;
    cluster::EntityResolver& resolver_;
    Scope& scope_;
    std::vector<Change> changes_;
    Alarm flush_;
    cluster::Subscription left_, homes_changed_;
};

/// The service that hears of it: on every node.
struct Whereabouts : Service<Whereabouts> {
    void live(io::Endpoint at, std::string type, std::vector<EntityId> entities);
    void ended(io::Endpoint at, std::string type, std::vector<EntityId> entities);
    static consteval auto describe() {
        return gyre::type<Whereabouts>("Whereabouts", method<&Whereabouts::live>(),
                                       method<&Whereabouts::ended>());
    }
};

}  // namespace gyre::module
