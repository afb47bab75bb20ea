#include <gyre/module/locations.hpp>

namespace gyre::module {
namespace {
constexpr std::size_t in_one_message = 1000;
}

Locations::Locations(world::Host& host, cluster::Directory& directory,
                     cluster::EntityResolver& resolver, Scope& scope)
    : host_(host), resolver_(resolver), scope_(scope), flush_(host.executor(), [this] { flush(); }) {
    host_.elsewhere = [this](EntityId id, std::string_view type) { return resolver_.elsewhere(id, type); };
    host_.on_presence = [this](EntityId id, const world::TypeTable& type, bool here) {
        if (type.stored || type.role.empty()) return;
        changes_.push_back({id, type.name, here});
        if (!flush_.pending()) flush_.in(Duration::zero());
    };
    left_ = directory.on_left([this](const cluster::NodeInfo& gone) { resolver_.node_left(gone.address); });
    homes_changed_ = directory.on_homes_changed([this](const std::string& role) {
        resolver_.homes_changed();
        report_all(role);
    });
}
Locations::~Locations() {
    host_.elsewhere = nullptr;
    host_.on_presence = nullptr;
}

void Locations::report_all(std::string_view role) {
    for (const auto* type : host_.types()) {
        if (type->kind != world::TypeKind::entity || type->stored || type->role != role) continue;
        for (const EntityId id : host_.ids(type->name)) changes_.push_back({id, type->name, true});
    }
    if (!changes_.empty() && !flush_.pending()) flush_.in(Duration::zero());
}

void Locations::flush() {
    struct Message {
        io::Endpoint to;
        std::string_view type;
        bool here;
        auto operator<=>(const Message&) const = default;
    };
    const io::Endpoint self = host_.node().rpc->address();
    std::map<Message, std::vector<EntityId>> messages;
    for (const Change& change : std::exchange(changes_, {})) {
        if (change.here && !host_.owns(change.id)) continue;  // gone by now
        const io::Endpoint* home = resolver_.home(change.id, change.type);
        if (!home || *home == self) continue;
        messages[{*home, change.type, change.here}].push_back(change.id);
    }
    ContextGuard guard(&scope_.context());
    for (const auto& [message, all] : messages) {
        const auto there = at(message.to).service<Whereabouts>();
        for (std::size_t first = 0; first < all.size(); first += in_one_message) {
            const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
            const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(first + in_one_message, all.size()));
            std::vector<EntityId> part(begin, end);
            if (message.here) there.notify<&Whereabouts::live>(self, std::string(message.type), std::move(part));
            else there.notify<&Whereabouts::ended>(self, std::string(message.type), std::move(part));
        }
    }
}

void Whereabouts::live(io::Endpoint at, std::string type, std::vector<EntityId> entities) {
    for (const EntityId id : entities) this_node().resolver.reported(id, type, at);
}
void Whereabouts::ended(io::Endpoint at, std::string, std::vector<EntityId> entities) {
    for (const EntityId id : entities) this_node().resolver.ended(id, at);
}

}  // namespace gyre::module
