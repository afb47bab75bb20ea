#include <algorithm>
#include <gyre/cluster/registry.hpp>
#include <gyre/codec/json.hpp>
#include <gyre/log/log.hpp>
#include <gyre/task/sync.hpp>
#include <set>

namespace gyre::cluster {

/// Kept by its tasks, too: it outlives the Registry until they have ended.
class Registry::Impl {
public:
    Impl(Registry& owner, io::Io& io, Scope& scope, std::unique_ptr<RegistryBackend> backend,
         RegistryConfig config)
        : owner_(&owner),
          io_(io),
          scope_(scope),
          backend_(std::move(backend)),
          config_(config),
          doubt_(io.executor(), [this] { drop_missing(); }) {}

    void start(std::shared_ptr<Impl> self) { watcher_.emplace(go(scope_, watch_all(self))); }
    void close() {
        owner_ = nullptr;
        registered_ = false;
        doubt_.cancel();
        // A job keeps this object and this object keeps the job's frame: part them.
        for (auto* job : {&watcher_, &watch_, &tender_, &writer_}) {
            if (*job) (*job)->cancel();
            job->reset();
        }
    }

    static Task<> register_node(std::shared_ptr<Impl> self, NodeInfo node) {
        GYRE_ASSERT(!self->registered_ && !self->tender_, "a node registers once");
        self->node_ = std::move(node);
        co_await self->enroll(/*first=*/true);
        if (self->owner_) self->tender_.emplace(go(self->scope_, tend(self)));
    }

    void update(std::shared_ptr<Impl> self, NodeInfo node) {
        node.name = node_.name;
        node.incarnation = node_.incarnation;
        node_ = std::move(node);
        if (registered_ && (!writer_ || writer_->done())) writer_.emplace(go(scope_, write(self)));
    }

    static Task<> unregister(std::shared_ptr<Impl> self) {
        if (self->tender_) {
            Join<> job = std::move(*self->tender_);
            self->tender_.reset();
            co_await cancel_and_join(std::move(job));
        }
        if (!std::exchange(self->registered_, false)) co_return;
        const auto revoked = co_await as_result(self->ask(self->backend_->revoke(self->lease_)));
        if (!revoked.ok())
            log::warn("cluster.unregister_failed",
                      {{"name", self->node_.name}, {"error", revoked.error()}});
    }

    static Task<bool> is_alive(std::shared_ptr<Impl> self, std::string name,
                               std::uint64_t incarnation) {
        const auto found = co_await as_result(self->ask(self->backend_->get(name)));
        if (!found.ok())
            throw Error(errc::unavailable,
                        "is node=" + name + " incarnation=" + std::to_string(incarnation) +
                            " alive: the registry does not answer: " + found.error().what());
        if (!*found) co_return false;
        const auto node = decode_entry(**found);
        co_return node.ok() && node->incarnation == incarnation;
    }

    static Task<> synced(std::shared_ptr<Impl> self) { co_await self->synced_.wait(); }

    bool lease_held() const {
        return registered_ && io_.executor().now() < renewed_at_ + config_.lease_ttl;
    }
    bool in_touch() const { return in_touch_; }
    std::uint64_t incarnation() const { return node_.incarnation; }
    const View& view() const { return view_; }

private:
    template <class T>
    Task<T> ask(Task<T> question) {
        return with_timeout(config_.request_limit, std::move(question));
    }
    TimePoint now() const { return io_.executor().now(); }

    static Result<NodeInfo> decode_entry(const RegistryEntry& entry) {
        auto node = from_json<NodeInfo>(entry.value);
        if (node.ok() && node->name != entry.name)
            return Error(errc::bad_data, "entry " + entry.name + " names node " + node->name);
        return node;
    }

    /// The own chain was cancelled: end. Anything else is the registry's trouble.
    static void rethrow_cancelled(const Error& error) {
        if (error.is(errc::cancelled)) throw error;
    }
    void touched() {
        failures_ = 0;
        if (std::exchange(in_touch_, true)) return;
        if (synced_.is_set()) doubt_.in(config_.lease_ttl);
        log::info("cluster.registry_answers", {{"nodes", view_.size()}});
    }
    /// Notes the failure; how long to wait before the next try.
    Duration lost_touch(const Error& error) {
        if (std::exchange(in_touch_, false) || failures_ == 0)
            log::warn("cluster.registry_silent", {{"error", error}, {"nodes_kept", view_.size()}});
        const Duration longest =
            std::min(config_.retry_max, config_.retry_min * (1 << std::min(failures_, 8u)));
        ++failures_;
        return longest / 2 +
               Duration(io_.random_u64() % static_cast<std::uint64_t>(longest.count() / 2 + 1));
    }

    // -- this node ------------------------------------------------------------------------------

    Task<> enroll(bool first) {
        std::optional<TimePoint> held_since;
        for (;;) {
            Duration wait = config_.lease_ttl / 10;
            const auto holder = co_await as_result(try_enroll(first));
            if (holder.ok() && !*holder) {
                touched();
                co_return;
            }
            if (holder.ok()) {
                touched();
                const std::string text = "node=" + node_.name + " is held by incarnation=" +
                                         std::to_string((*holder)->incarnation) +
                                         " address=" + (*holder)->address.to_string();
                if (!held_since) {
                    held_since = now();
                    log::warn("cluster.name_taken", {{"what", text}});
                } else if (first && now() - *held_since > 2 * config_.lease_ttl) {
                    throw Error(errc::in_use, text);
                }
            } else {
                rethrow_cancelled(holder.error());
                held_since.reset();
                if (!holder.error().is(errc::conflict)) wait = lost_touch(holder.error());
            }
            co_await sleep(wait);
        }
    }

    /// Who holds the name, nullopt: now this node. Error: conflict, it changed meanwhile.
    Task<std::optional<NodeInfo>> try_enroll(bool first) {
        std::uint64_t expected = 0;
        const auto held = co_await ask(backend_->get(node_.name));
        if (held) {
            const auto holder = decode_entry(*held);
            const bool own = holder.ok() && holder->incarnation == node_.incarnation;
            const bool dead =
                first && holder.ok() && node_.address.port != 0 && holder->address == node_.address;
            if (!own && !dead) co_return holder.ok() ? *holder : NodeInfo{.name = node_.name};
            expected = held->revision;
        }
        const TimePoint sent = now();
        const std::uint64_t lease = co_await ask(backend_->grant(config_.lease_ttl));
        const NodeInfo node = node_;
        const std::uint64_t revision = co_await ask(
            backend_->put_if(RegistryEntry{node.name, to_json(node), 0}, lease, expected));
        if (revision == 0) throw Error(errc::conflict, "node=" + node.name);
        lease_ = lease;
        renewed_at_ = sent;
        written_ = node;
        written_at_ = now();
        revision_ = revision;
        registered_ = true;
        displaced_ = false;
        log::info("cluster.registered", {{"name", node.name},
                                         {"incarnation", node.incarnation},
                                         {"address", node.address.to_string()}});
        place(node, revision);
        co_return std::nullopt;
    }

    /// Keeps the lease; begins anew when it is lost.
    static Task<> tend(std::shared_ptr<Impl> self) {
        bool failed = false;
        for (Duration wait = self->config_.lease_ttl / 3;;) {
            {
                Alarm alarm(self->io_.executor(), [&] { self->wake_.set(); });
                alarm.in(wait);
                co_await self->wake_.wait();
                self->wake_.reset();
            }
            wait = self->config_.lease_ttl / 3;
            if (!self->displaced_) {
                const TimePoint sent = self->now();
                const auto kept =
                    co_await as_result(self->ask(self->backend_->keep_alive(self->lease_)));
                if (!kept.ok()) {
                    rethrow_cancelled(kept.error());
                    wait = std::min(wait, self->lost_touch(kept.error()));
                    failed = true;
                    continue;
                }
                self->touched();
                // The watch may wait on a connection that broke without a word.
                if (std::exchange(failed, false) && self->watch_) self->watch_->cancel();
                if (*kept) {
                    self->renewed_at_ = sent;
                    continue;
                }
            }
            self->registered_ = false;
            const std::uint64_t before = self->node_.incarnation;
            do self->node_.incarnation = self->io_.random_u64();
            while (self->node_.incarnation == 0 || self->node_.incarnation == before);
            log::error("cluster.lease_lost", {{"name", self->node_.name},
                                              {"displaced", self->displaced_},
                                              {"incarnation", before},
                                              {"new_incarnation", self->node_.incarnation}});
            if (self->owner_ && self->owner_->on_new_incarnation)
                self->owner_->on_new_incarnation(self->node_.incarnation);
            co_await self->enroll(/*first=*/false);
        }
    }

    /// Writes what update() changed, at most once an interval.
    static Task<> write(std::shared_ptr<Impl> self) {
        while (self->registered_ && self->node_ != self->written_) {
            co_await sleep_until(self->written_at_ + self->config_.update_interval);
            if (!self->registered_) break;
            const NodeInfo node = self->node_;
            self->written_at_ = self->now();
            const auto put = co_await as_result(self->ask(self->backend_->put_if(
                RegistryEntry{node.name, to_json(node), 0}, self->lease_, self->revision_)));
            if (node.incarnation != self->node_.incarnation) continue;
            if (put.ok() && *put != 0) {
                self->revision_ = *put;
                self->written_ = node;
            } else if (put.ok()) {
                co_await self->look_at_own_entry();
            } else if (put.error().is(errc::not_found)) {
                self->wake_.set();  // The lease is gone: let tend() find out.
            }
        }
    }

    /// After a refused write: a write without an answer may have run, or another took the name.
    Task<> look_at_own_entry() {
        const auto found = co_await as_result(ask(backend_->get(node_.name)));
        if (!found.ok() || !registered_) co_return;
        const auto node = *found ? decode_entry(**found) : Result<NodeInfo>(Error(errc::not_found));
        if (node.ok() && node->incarnation == node_.incarnation)
            revision_ = (*found)->revision;
        else
            displace();
    }
    void displace() {
        displaced_ = true;
        wake_.set();
    }

    // -- all nodes ------------------------------------------------------------------------------

    static Task<> watch(std::shared_ptr<Impl> self, std::uint64_t revision) {
        co_await self->backend_->watch(
            revision, [impl = self.get()](const RegistryEvent& event) { impl->take(event); });
    }

    static Task<> watch_all(std::shared_ptr<Impl> self) {
        for (;;) {
            const auto listing = co_await as_result(self->ask(self->backend_->list()));
            Error reason(errc::cancelled);
            if (listing.ok()) {
                self->touched();
                self->take(*listing);
                self->synced_.set();
                self->watch_.emplace(go(self->scope_, watch(self, listing->revision + 1)));
                try {
                    co_await *self->watch_;
                } catch (const Error& error) {
                    reason = error;
                }
                if (!self->owner_) co_return;
                // Cancelled by tend(), the history is forgotten: list again at once.
                if (reason.is(errc::cancelled) || reason.is(errc::conflict))
                    co_await yield();
                else
                    co_await sleep(self->lost_touch(reason));
            } else {
                rethrow_cancelled(listing.error());
                co_await sleep(self->lost_touch(listing.error()));
            }
        }
    }

    void take(const RegistryListing& listing) {
        std::map<std::string, std::uint64_t, std::less<>> old;
        old.swap(revisions_);
        if (listing.revision < std::exchange(listed_revision_, listing.revision))
            doubt_.in(config_.lease_ttl);  // It lost its data.
        for (const auto& entry : listing.entries) {
            old.erase(entry.name);
            take(RegistryEvent{false, entry});
        }
        for (const auto& [name, revision] : old)
            if (!revisions_.contains(name)) remove(name);
        if (registered_ && listing.revision >= revision_ && !revisions_.contains(node_.name))
            displace();
    }

    void take(const RegistryEvent& event) {
        const ContextGuard guard(&scope_.context());  // Who listens acts and logs as this node.
        const RegistryEntry& entry = event.entry;
        const bool own = registered_ && entry.name == node_.name && entry.revision > revision_;
        if (event.deleted) {
            const auto known = revisions_.find(entry.name);
            if (known == revisions_.end() || entry.revision < known->second) return;
            revisions_.erase(known);
            remove(entry.name);
            if (own) displace();
            return;
        }
        auto node = decode_entry(entry);
        if (!node.ok()) {
            log::warn("cluster.bad_entry", {{"entry", entry.name}, {"error", node.error()}});
            return;
        }
        if (own && node->incarnation != node_.incarnation) displace();
        place(*std::move(node), entry.revision);
    }

    void place(NodeInfo node, std::uint64_t revision) {
        auto& known = revisions_[node.name];
        if (revision < known) return;  // An event from before our own write.
        known = revision;
        missing_.erase(node.name);
        const NodeInfo* found = view_.find(node.name);
        if (found && *found == node) return;
        std::optional<NodeInfo> before;
        if (found) before = *found;
        const NodeInfo& after = view_.put(std::move(node));
        if (owner_ && owner_->on_change) owner_->on_change(before ? &*before : nullptr, &after);
    }

    // After an outage entries may be missing because nobody could renew them: their nodes have a
    // lease time to register again before they count as gone.
    void remove(const std::string& name) {
        if (!in_touch_ || doubt_.pending())
            missing_.insert(name);
        else
            drop(name);
    }
    void drop_missing() {
        const ContextGuard guard(&scope_.context());
        if (!in_touch_) return;
        for (const std::string& name : std::exchange(missing_, {})) drop(name);
    }
    void drop(const std::string& name) {
        const NodeInfo* found = view_.find(name);
        if (!found) return;
        const NodeInfo before = *found;
        view_.erase(name);
        if (owner_ && owner_->on_change) owner_->on_change(&before, nullptr);
    }

    Registry* owner_;  // null once it is destroyed
    io::Io& io_;
    Scope& scope_;
    std::unique_ptr<RegistryBackend> backend_;
    const RegistryConfig config_;

    View view_;
    std::map<std::string, std::uint64_t, std::less<>> revisions_;  // of the entries in the view
    std::uint64_t listed_revision_ = 0;
    std::set<std::string> missing_;  // in the view, but not in the registry
    Alarm doubt_;                    // pending: missing nodes are believed to be alive
    Event synced_;
    std::optional<Join<>> watcher_, watch_, tender_, writer_;
    bool in_touch_ = false;
    unsigned failures_ = 0;  // in a row

    NodeInfo node_, written_;  // as wanted, as last written
    bool registered_ = false;
    bool displaced_ = false;  // the entry is gone or another's
    std::uint64_t lease_ = 0, revision_ = 0;
    TimePoint renewed_at_, written_at_;
    Event wake_;  // of tend()
};

Registry::Registry(io::Io& io, Scope& scope, std::unique_ptr<RegistryBackend> backend,
                   RegistryConfig config)
    : impl_(std::make_shared<Impl>(*this, io, scope, std::move(backend), config)) {
    impl_->start(impl_);
}
Registry::~Registry() { impl_->close(); }
Task<> Registry::register_node(NodeInfo self) {
    return Impl::register_node(impl_, std::move(self));
}
void Registry::update(NodeInfo self) { impl_->update(impl_, std::move(self)); }
Task<> Registry::unregister() { return Impl::unregister(impl_); }
Task<bool> Registry::is_alive(std::string name, std::uint64_t incarnation) {
    return Impl::is_alive(impl_, std::move(name), incarnation);
}
bool Registry::lease_held() const { return impl_->lease_held(); }
bool Registry::in_touch() const { return impl_->in_touch(); }
std::uint64_t Registry::incarnation() const { return impl_->incarnation(); }
const View& Registry::view() const { return impl_->view(); }
Task<> Registry::synced() { return Impl::synced(impl_); }

}  // namespace gyre::cluster
