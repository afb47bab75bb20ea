#include "cluster_client.hpp"

#include <unistd.h>

namespace gyre::cli {

/// Answers nothing: nodes have no reason to call a tool.
class ClusterClient::Deaf : public rpc::Target {
public:
    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override {
        respond(Error(errc::unknown_method, std::string(call.method.text)));
    }
};

ClusterClient::ClusterClient(const std::string& data) : deaf_(std::make_unique<Deaf>()) {
    const auto folder = node::DataFolder::find(data).value();
    file_ = folder.cluster().value();
    rpc::RpcConfig config;
    config.name = "cli";
    config.incarnation = static_cast<std::uint64_t>(::getpid());
    config.key = folder.keys(loop_).value().cluster;
    config.handshake_limit = 2s;
    identity_.name = config.name;
    Context context;
    context.node = &identity_;
    scope_ = std::make_unique<Scope>(loop_.executor(), "cli", context);
    rpc_ = std::make_unique<rpc::Rpc>(loop_, *scope_, config, *deaf_);
}

ClusterClient::~ClusterClient() {
    if (!rpc_) return;
    rpc_->close();
    scope_->cancel();
    loop_.run_until([this] { return scope_->running() == 0; }, 2s);
    rpc_.reset();
}

Bytes ClusterClient::call(const io::Endpoint& to, EntityId entity, std::string_view method,
                          Bytes arguments, Duration limit) {
    const std::size_t dot = method.find('.');
    const std::string_view type = method.substr(0, dot);
    const std::string_view name = dot == method.npos ? "" : method.substr(dot + 1);
    rpc::CallOptions options;
    options.limit = limit;
    options.form = Form::names;
    return loop_.run_task(
        rpc_->call({.entity = entity, .at = to}, {hash_method(type, name), method}, std::move(arguments), options));
}

std::vector<cluster::NodeInfo> ClusterClient::nodes() {
    std::string reasons;
    for (const auto& node : file_.nodes) {
        try {
            const Bytes none = encode(std::tuple<>());
            const Bytes reply = call(node.address, 0, "NodeService.cluster", none, 2s);
            return decode<std::vector<cluster::NodeInfo>>(reply).value();
        } catch (const Error& error) {
            reasons += "\n  " + node.name + ": " + error.what();
        }
    }
    throw Error(errc::unavailable, "no node of " + file_.name + " answers" + reasons);
}

}  // namespace gyre::cli
