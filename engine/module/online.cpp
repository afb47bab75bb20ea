#include <gyre/module/online.hpp>

namespace gyre {

Task<> Online::attach(ClientRef newer) {
    const ClientRef older = std::exchange(client, newer);
    if (older && older != newer)
        kick(older, Error("replaced", "a newer session of the same account took over"));
    tell();
    co_return;
}

Task<bool> Online::detach(std::uint64_t session) {
    if (!client || client.session != session) co_return false;
    client = {};
    tell();
    co_return true;
}

Task<> Online::on_stop() {
    if (client) at(client.at).service<module::Clients>().notify<&module::Clients::moved>(client.session);
    co_return;
}

void Online::tell() {
    auto& record = gyre_record();
    const std::uint64_t method = hash_method(record.type.name, "on_client");
    if (record.hosted.methods.contains(method)) record.host.run_method(record, method);
}

Task<> save_now() {
    auto* record = static_cast<world::Record*>(current->object);
    GYRE_ASSERT(record && current->entity, "save_now() in a task of a stored entity");
    co_await this_node().persist.save(*record);
}

}  // namespace gyre
