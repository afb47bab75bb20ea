#include <gyre/module/node.hpp>
#include <gyre/module/nodes.hpp>

namespace gyre::module {
namespace {

class Listening final : public world::Attachment {
public:
    cluster::Subscription subscription;
};

void tell(const world::Record& record, const OwnedMethod& method, const Bytes& arguments) {
    rpc::IncomingCall call;
    call.entity = record.id;
    call.method = method.name();
    call.arguments = arguments;
    record.host.dispatch(call, {});
}

}  // namespace

void Nodes::listen(Event event, OwnedMethod method) {
    world::Record& record = record_with(method, "nodes()");
    auto& directory = this_node().directory;
    const auto about_node = [&record, method](const cluster::NodeInfo& node) {
        tell(record, method, encode(std::tuple(node)));
    };
    const auto about_role = [&record, method](const std::string& role) {
        tell(record, method, encode(std::tuple(role)));
    };
    auto listening = std::make_unique<Listening>();
    if (event == Event::joined) listening->subscription = directory.on_joined(about_node);
    else if (event == Event::left) listening->subscription = directory.on_left(about_node);
    else listening->subscription = directory.on_homes_changed(about_role);
    record.attachments.push_back(std::move(listening));
}

}  // namespace gyre::module
