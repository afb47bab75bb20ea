#include <deque>
#include <gyre/cluster/detail/courier.hpp>
#include <gyre/cluster/embedded_registry.hpp>
#include <gyre/task/sync.hpp>
#include <set>

namespace gyre::cluster {
namespace detail {

struct WatchStream {
    std::function<void(const RegistryEvent&)> handler;
    std::optional<Error> failure;
    Event failed;
    void fail(const Error& reason) {
        failure = reason;
        failed.set();
    }
};

/// Where a client hears from the server.
struct Port {
    Port(Executor& executor, std::string n) : courier(executor), name(std::move(n)) {}
    Courier courier;
    const std::string name;
    std::weak_ptr<WatchStream> stream;
};

class EmbeddedCore : public std::enable_shared_from_this<EmbeddedCore> {
public:
    EmbeddedCore(Executor& executor, Duration d) : delay(d), courier_(executor) {}

    // -- messages -------------------------------------------------------------------------------
    /// From a client, on its loop.
    void request(const std::shared_ptr<Port>& from, std::function<void()> action) {
        if (cut_off_.contains(from->name)) return;
        courier_.at(from->courier.now() + delay, [this, action = std::move(action)] {
            if (paused_)
                held_.push_back(action);
            else
                action();
        });
    }
    /// To a client, on the server's loop.
    void reply(const std::weak_ptr<Port>& to, std::function<void()> action) {
        const auto port = to.lock();
        if (port && !cut_off_.contains(port->name))
            port->courier.at(courier_.now() + delay, std::move(action));
    }
    void pause(bool paused) {
        if (paused)
            paused_ = true;
        else
            courier_.at(TimePoint::min(), [this] { resume(); });
    }

    /// What was lost meanwhile breaks the client's stream, as it would break a connection.
    void cut(std::string_view client, bool cut) {
        if (cut) {
            cut_off_.emplace(client);
            return;
        }
        cut_off_.erase(std::string(client));
        std::erase_if(ports_, [](const auto& port) { return port.expired(); });
        for (const auto& weak : ports_)
            if (const auto port = weak.lock(); port->name == client)
                port->courier.at(TimePoint::min(), [weak] {
                    const auto open = weak.lock()->stream.lock();
                    if (open) open->fail(Error(errc::disconnected, "the link was cut"));
                });
    }
    void add(const std::shared_ptr<Port>& port) { ports_.push_back(port); }

    // -- what etcd does -------------------------------------------------------------------------
    std::uint64_t grant(Duration ttl) {
        const std::uint64_t id = ++last_lease_;
        leases_[id] = Lease{ttl, courier_.now() + ttl};
        check_at(id, courier_.now() + ttl);
        return id;
    }
    bool keep_alive(std::uint64_t id) {
        const auto lease = leases_.find(id);
        if (lease == leases_.end()) return false;
        lease->second.expires = courier_.now() + lease->second.ttl;
        return true;
    }
    void revoke(std::uint64_t id) {
        if (leases_.erase(id) == 0) return;
        std::vector<std::string> names;
        for (const auto& [name, stored] : entries_)
            if (stored.lease == id) names.push_back(name);
        for (const std::string& name : names) {
            entries_.erase(name);
            tell({true, {name, {}, ++revision_}});
        }
    }
    Result<std::uint64_t> put_if(RegistryEntry entry, std::uint64_t lease, std::uint64_t expected) {
        if (!leases_.contains(lease))
            return Error(errc::not_found, "lease=" + std::to_string(lease) + " has expired");
        const auto found = entries_.find(entry.name);
        if ((found == entries_.end() ? 0 : found->second.entry.revision) != expected) return 0;
        entry.revision = ++revision_;
        ++writes;
        entries_[entry.name] = Stored{entry, lease};
        tell({false, entry});
        return entry.revision;
    }
    std::optional<RegistryEntry> get(const std::string& name) const {
        const auto found = entries_.find(name);
        if (found == entries_.end()) return std::nullopt;
        return found->second.entry;
    }
    RegistryListing list() const {
        RegistryListing listing{{}, revision_};
        for (const auto& [name, stored] : entries_) listing.entries.push_back(stored.entry);
        return listing;
    }
    void watch(const std::weak_ptr<Port>& port, const std::shared_ptr<WatchStream>& stream,
               std::uint64_t revision) {
        watchers_.push_back({port, stream});
        if (revision <= forgotten_) {
            end(watchers_.back(),
                Error(errc::conflict, "the history from revision=" + std::to_string(revision) +
                                          " on is forgotten"));
            return watchers_.pop_back();
        }
        for (const RegistryEvent& event : history_)
            if (event.entry.revision >= revision) tell(watchers_.back(), event);
    }
    void forget_everything() {
        entries_.clear();
        leases_.clear();
        history_.clear();
        for (const Watcher& watcher : std::exchange(watchers_, {}))
            end(watcher, Error(errc::disconnected, "the registry was restarted"));
        revision_ = forgotten_ = 0;
    }
    void trim() {
        for (; history_.size() > history_limit; history_.pop_front())
            forgotten_ = history_.front().entry.revision;
    }

    Duration delay;
    std::size_t history_limit = 4096;
    std::uint64_t writes = 0;

private:
    struct Lease {
        Duration ttl{};
        TimePoint expires;
    };
    struct Stored {
        RegistryEntry entry;
        std::uint64_t lease = 0;
    };
    struct Watcher {
        std::weak_ptr<Port> port;
        std::weak_ptr<WatchStream> stream;
    };

    void resume() {
        paused_ = false;
        for (auto& [id, lease] : leases_) {
            lease.expires = courier_.now() + lease.ttl;
            check_at(id, lease.expires);
        }
        for (const auto& action : std::exchange(held_, {})) action();
    }
    void check_at(std::uint64_t id, TimePoint when) {
        courier_.at(when, [this, id] {
            const auto lease = leases_.find(id);
            if (lease == leases_.end() || paused_) return;
            if (courier_.now() >= lease->second.expires)
                revoke(id);
            else
                check_at(id, lease->second.expires);
        });
    }
    void tell(const RegistryEvent& event) {
        history_.push_back(event);
        trim();
        std::erase_if(watchers_, [](const Watcher& watcher) { return watcher.stream.expired(); });
        for (const Watcher& watcher : watchers_) tell(watcher, event);
    }
    void tell(const Watcher& watcher, const RegistryEvent& event) {
        reply(watcher.port, [stream = watcher.stream, event] {
            if (const auto open = stream.lock()) open->handler(event);
        });
    }

    void end(const Watcher& watcher, const Error& reason) {
        reply(watcher.port, [stream = watcher.stream, reason] {
            if (const auto open = stream.lock()) open->fail(reason);
        });
    }

    Courier courier_;
    std::set<std::string, std::less<>> cut_off_;
    std::vector<std::weak_ptr<Port>> ports_;
    bool paused_ = false;
    std::vector<std::function<void()>> held_;
    std::map<std::uint64_t, Lease> leases_;
    std::map<std::string, Stored> entries_;
    std::deque<RegistryEvent> history_;
    std::vector<Watcher> watchers_;
    std::uint64_t revision_ = 0, forgotten_ = 0, last_lease_ = 0;
};

namespace {
class EmbeddedBackend final : public RegistryBackend {
public:
    EmbeddedBackend(std::shared_ptr<EmbeddedCore> core, Executor& executor, std::string client)
        : core_(std::move(core)), port_(std::make_shared<Port>(executor, std::move(client))) {
        core_->add(port_);
    }

    Task<std::uint64_t> grant(Duration ttl) override {
        return ask<std::uint64_t>([ttl](EmbeddedCore& core) { return core.grant(ttl); });
    }
    Task<bool> keep_alive(std::uint64_t lease) override {
        return ask<bool>([lease](EmbeddedCore& core) { return core.keep_alive(lease); });
    }
    Task<> revoke(std::uint64_t lease) override {
        return ask<void>([lease](EmbeddedCore& core) {
            core.revoke(lease);
            return Result<>();
        });
    }
    Task<std::uint64_t> put_if(RegistryEntry entry, std::uint64_t lease,
                               std::uint64_t expected) override {
        return ask<std::uint64_t>([entry = std::move(entry), lease, expected](EmbeddedCore& core) {
            return core.put_if(entry, lease, expected);
        });
    }
    Task<std::optional<RegistryEntry>> get(std::string name) override {
        return ask<std::optional<RegistryEntry>>(
            [name = std::move(name)](EmbeddedCore& core) { return core.get(name); });
    }
    Task<RegistryListing> list() override {
        return ask<RegistryListing>([](EmbeddedCore& core) { return core.list(); });
    }
    Task<> watch(std::uint64_t revision,
                 std::function<void(const RegistryEvent&)> handler) override {
        auto stream = std::make_shared<WatchStream>();
        stream->handler = std::move(handler);
        port_->stream = stream;
        core_->request(port_, [core = core_.get(), port = std::weak_ptr(port_), stream, revision] {
            core->watch(port, stream, revision);
        });
        co_await stream->failed.wait();
        throw *stream->failure;
    }

private:
    template <class T>
    Task<T> ask(std::function<Result<T>(EmbeddedCore&)> operation) {
        auto answer = std::make_shared<Deferred<T>>();
        core_->request(port_, [core = core_.get(), port = std::weak_ptr(port_), answer,
                               operation = std::move(operation)] {
            core->reply(port, [answer, result = operation(*core)] { answer->set(result); });
        });
        co_return co_await answer->get();
    }
    std::shared_ptr<EmbeddedCore> core_;
    std::shared_ptr<Port> port_;
};
}  // namespace
}  // namespace detail

EmbeddedRegistryServer::EmbeddedRegistryServer(Executor& executor, Duration delay)
    : core_(std::make_shared<detail::EmbeddedCore>(executor, delay)) {}
EmbeddedRegistryServer::~EmbeddedRegistryServer() = default;
void EmbeddedRegistryServer::set_delay(Duration delay) { core_->delay = delay; }
void EmbeddedRegistryServer::pause(bool paused) { core_->pause(paused); }
void EmbeddedRegistryServer::cut(std::string_view client, bool cut) { core_->cut(client, cut); }
void EmbeddedRegistryServer::keep_history(std::size_t events) {
    core_->history_limit = events;
    core_->trim();
}
void EmbeddedRegistryServer::forget_everything() { core_->forget_everything(); }
std::vector<RegistryEntry> EmbeddedRegistryServer::entries() const { return core_->list().entries; }
std::uint64_t EmbeddedRegistryServer::writes() const { return core_->writes; }

EmbeddedRegistry::EmbeddedRegistry(io::Io& io, Scope& scope, EmbeddedRegistryServer& server,
                                   std::string client, RegistryConfig config)
    : Registry(
          io, scope,
          std::make_unique<detail::EmbeddedBackend>(server.core_, io.executor(), std::move(client)),
          config) {}

}  // namespace gyre::cluster
