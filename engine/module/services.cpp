#include <gyre/log/log.hpp>
#include <gyre/module/services.hpp>
#include <gyre/world/fanout.hpp>

namespace gyre::module {
namespace {
Error nobody(std::string_view role, rpc::MethodName method) {
    return Error(errc::no_service, std::string(method.text) + ": no node of role=" +
                                       (role.empty() ? "(any)" : std::string(role)) + " is there");
}
Task<Bytes> refuse(Error error) {
    throw error;
    co_return {};
}
}  // namespace

std::optional<cluster::NodeInfo> choose_any(std::string_view role, std::uint64_t) {
    return this_node().directory.pick_any(role);
}
std::optional<cluster::NodeInfo> choose_least_loaded(std::string_view role, std::uint64_t) {
    return this_node().directory.pick_least_loaded(role);
}
std::optional<cluster::NodeInfo> choose_hashed(std::string_view role, std::uint64_t key) {
    return this_node().directory.rendezvous(role, mix(key));
}

Task<Bytes> call_chosen(Choose choose, std::string_view role, std::uint64_t key,
                        rpc::MethodName method, Bytes arguments, Duration limit) {
    const auto node = choose(role, key);
    if (!node) return refuse(nobody(role, method));
    rpc::Rpc& rpc = this_node().rpc;
    rpc::CallOptions options = rpc.default_options();
    if (limit > Duration::zero()) options.limit = limit;
    return rpc.call({.at = node->address}, method, std::move(arguments), options);
}

void notify_chosen(Choose choose, std::string_view role, std::uint64_t key, rpc::MethodName method,
                   BytesView arguments) {
    if (const auto node = choose(role, key))
        this_node().rpc.notify({.at = node->address}, method, arguments);
    else
        log::warn("rpc.notify_dropped", {{"method", method.text}, {"reason", nobody(role, method).what()}});
}

Task<std::vector<NodeAnswer>> call_all(std::string_view role, rpc::MethodName method, Bytes arguments,
                                       Duration limit) {
    Node& here = this_node();
    rpc::CallOptions options = here.rpc.default_options();
    if (limit > Duration::zero()) options.limit = limit;
    const auto nodes = here.directory.of_role(role);
    if (nodes.empty()) throw nobody(role, method);
    std::vector<Task<Bytes>> calls;
    for (const auto& node : nodes)
        calls.push_back(here.rpc.call({.at = node.address}, method, arguments, options));
    auto results = co_await rpc::fan_out(std::move(calls));
    std::vector<NodeAnswer> answers;
    for (std::size_t i = 0; i < nodes.size(); ++i)
        answers.push_back({nodes[i].name, std::move(results[i])});
    co_return answers;
}

void notify_all(std::string_view role, rpc::MethodName method, Bytes arguments) {
    for (const auto& node : this_node().directory.of_role(role))
        this_node().rpc.notify({.at = node.address}, method, arguments);
}

void broadcast(std::string_view role, rpc::MethodName method, Bytes arguments) {
    all<world::Fanout>(role).notify<&world::Fanout::announce>(std::string(method.text), std::move(arguments));
}

std::size_t broadcast_here(rpc::MethodName method, const Bytes& arguments) {
    return world::announce_here(this_node().host, method, arguments);
}

}  // namespace gyre::module
