#include <gyre/session/detail/home.hpp>
#include <gyre/session/session.hpp>

namespace gyre::session {

Session::Session(detail::Home& home, std::uint64_t id, EntityId entity, io::Endpoint peer,
                 std::uint32_t client_version)
    : home_(home),
      id_(id),
      entity_(entity),
      peer_(std::move(peer)),
      client_version_(client_version),
      calls_(home.config.calls_per_second, home.executor.now()) {}

bool Session::push(rpc::MethodName method, BytesView arguments) {
    const bool too_slow = !method.delivery.reliable() &&
                          connection_->unsent_bytes() > home_.config.max_unsent_bytes / 2;
    const bool sent = !too_slow && connection_->notify(0, method, arguments);
    (sent ? home_.metrics.pushes : home_.metrics.pushes_dropped).add();
    return sent;
}

void Session::close(const Error& reason) {
    connection_->close(reason);
    home_.end(id_, reason);
}

void Session::dispatch(const rpc::IncomingCall& call, rpc::Responder respond) {
    home_.metrics.calls.add();
    if (!calls_.take(home_.executor.now())) {
        home_.metrics.calls_limited.add();
        respond(Error(errc::overloaded, "more than " +
                                            std::to_string(static_cast<std::uint64_t>(
                                                home_.config.calls_per_second)) +
                                            " calls a second"));
        return;
    }
    rpc::IncomingCall mine = call;
    if (mine.entity == 0) mine.entity = entity_;
    home_.target.dispatch(mine, std::move(respond));  // may end this session: nothing follows
}

}  // namespace gyre::session
