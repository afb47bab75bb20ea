#include <gyre/world/fanout.hpp>

namespace gyre::world {
namespace {
Host& here() { return *current->node->host; }

rpc::IncomingCall one_way(EntityId entity, rpc::MethodName method, BytesView arguments) {
    rpc::IncomingCall call;
    call.entity = entity;
    call.method = method;
    call.arguments = arguments;
    return call;
}
}  // namespace

std::vector<Missing> Fanout::deliver(std::string method, Bytes arguments,
                                     std::vector<EntityId> entities) {
    Host& host = here();
    const rpc::MethodName name{fnv1a(method), method};
    const std::string_view type = host.type_of_method(name.id);
    std::vector<Missing> missing;
    for (const EntityId entity : entities) {
        if (host.owns(entity)) {
            host.dispatch(one_way(entity, name, arguments), {});
            continue;
        }
        const auto at = host.elsewhere ? host.elsewhere(entity, type) : std::nullopt;
        missing.push_back({entity, at ? at->to_string() : std::string()});
    }
    return missing;
}

void Fanout::announce(std::string method, Bytes arguments) {
    announce_here(here(), {fnv1a(method), method}, arguments);
}

void Fanout::pass_on(std::string method, Bytes arguments, EntityId entity) {
    auto call = one_way(entity, {fnv1a(method), method}, arguments);
    call.forwarded = true;
    here().dispatch(call, {});
}

std::size_t announce_here(Host& host, rpc::MethodName method, BytesView arguments) {
    std::vector<EntityId> all;
    for (const TypeTable* type : host.types()) {
        if (type->kind != TypeKind::entity || !host.hosted(*type).methods.find(method.id)) continue;
        const auto ids = host.ids(type->name);
        all.insert(all.end(), ids.begin(), ids.end());
    }
    for (const EntityId entity : all)  // one may end another
        if (host.owns(entity)) host.dispatch(one_way(entity, method, arguments), {});
    return all.size();
}

}  // namespace gyre::world
