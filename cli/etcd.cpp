#include "etcd.hpp"

#include <gyre/io/loop.hpp>
#include <gyre/web/client.hpp>

#include <filesystem>

namespace gyre::cli {
namespace {

Task<bool> ask_version(io::Io* io, std::string endpoint) {
    web::Client client(*io);
    web::Request request;
    request.url = "http://" + endpoint + "/version";
    const auto reply = co_await as_result(client.request(std::move(request), 500ms));
    co_return reply && reply->status == 200 && reply->body.find("etcdserver") != std::string::npos;
}

std::string free_address(io::Loop& loop, std::vector<std::unique_ptr<io::Listener>>& held) {
    held.push_back(loop.listen({"127.0.0.1", 0}, [](std::unique_ptr<io::Stream>) {}).value());
    return held.back()->local().to_string();
}

}  // namespace

bool etcd_answers(const std::string& endpoint) {
    if (!io::Endpoint::parse(endpoint)) return false;
    io::Loop loop;
    return loop.run_task(ask_version(&loop, endpoint));
}

EtcdPlan plan_etcd(const std::string& folder) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
    io::Loop loop;
    std::vector<std::unique_ptr<io::Listener>> held;  // Both, so that they differ.
    EtcdPlan plan;
    plan.endpoint = free_address(loop, held);
    const std::string client = "http://" + plan.endpoint;
    const std::string peer = "http://" + free_address(loop, held);
    plan.command = {"etcd", "--name", "gyre", "--data-dir", folder,
                    "--listen-client-urls", client, "--advertise-client-urls", client,
                    "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                    "--initial-cluster", "gyre=" + peer, "--auto-compaction-retention", "1"};
    return plan;
}

}  // namespace gyre::cli
