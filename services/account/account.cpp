#include "services/account/account.hpp"

#include "services/account/accounts.hpp"

namespace gyre::account {

struct Account::Front {
    Front(module::Node& at, std::uint16_t zone, const AccountConfig& config)
        : accounts({at.io, at.store.documents(), at.metrics, at.keys.login, zone}, config),
          server(at.io, node_scope(),
                 {.endpoint = at.info.http_address,
                  .max_connections = config.connections,
                  .allowed_origins = config.allowed_origins,
                  .metrics = &at.metrics}) {
        accounts.add_routes(server);
    }
    Accounts accounts;
    web::Server server;
};

Task<> Account::on_start() {
    auto& here = this_node();
    // Checked with the rest of its section before any node starts; not there: 0.
    const auto zone = here.config.as<std::uint16_t>("cluster.zone");
    front_ = std::make_shared<Front>(here, zone ? *zone : std::uint16_t{0},
                                     here.config.as<AccountConfig>("account").value());
    co_await front_->accounts.start();
    front_->server.listen().value();
    here.info.http_address = front_->server.local();
    log::info("account.listening", {{"http", here.info.http_address.to_string()}});
}

Task<> Account::on_stop() {
    co_await front_->server.close(2s);
    front_.reset();
}

AccountStatus Account::status() {
    return {front_->server.connections(), front_->accounts.waiting()};
}

}  // namespace gyre::account

GYRE_MODULE("account", gyre::account::Account)
