#include <algorithm>
#include <gyre/module/clients.hpp>
#include <tuple>

namespace gyre {

namespace module {

void Clients::push(std::uint64_t session, std::string method, Bytes arguments, Order order, std::uint8_t lane,
                   Care care) {
    const Delivery delivery{order, static_cast<std::uint8_t>(lane & 15), care};
    if (auto* sink = this_node().clients) sink->push(session, {fnv1a(method), method, delivery}, arguments);
}
void Clients::kick(std::uint64_t session, std::string code, std::string text) {
    if (auto* sink = this_node().clients) sink->kick(session, Error(code, text));
}

void Clients::moved(std::uint64_t session) {
    if (auto* sink = this_node().clients) sink->moved(session);
}

std::vector<ClientLink> Clients::links(std::uint32_t limit) {
    auto* sink = this_node().clients;
    auto all = sink ? sink->links() : std::vector<ClientLink>{};
    std::ranges::sort(all, [](const ClientLink& a, const ClientLink& b) {
        return std::tie(a.queued_bytes, a.rtt_ms, a.session) > std::tie(b.queued_bytes, b.rtt_ms, b.session);
    });
    if (all.size() > limit) all.resize(limit);
    return all;
}

void push_encoded(const ClientRef& to, rpc::MethodName method, Bytes arguments) {
    Node& here = this_node();
    if (to.at == here.rpc.address()) {
        if (here.clients) here.clients->push(to.session, method, arguments);
        return;
    }
    const auto [order, lane, care] = method.delivery;
    at(to.at).service<Clients>().notify<&Clients::push>(to.session, std::string(method.text),
                                                        std::move(arguments), order, lane, care);
}

}  // namespace module

void kick(const ClientRef& client, const Error& reason) {
    if (!client) return;
    module::Node& here = this_node();
    if (client.at == here.rpc.address()) {
        if (here.clients) here.clients->kick(client.session, reason);
        return;
    }
    at(client.at).service<module::Clients>().notify<&module::Clients::kick>(
        client.session, reason.code(), reason.message());
}

}  // namespace gyre
