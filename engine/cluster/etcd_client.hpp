#pragma once
#include <gyre/web/client.hpp>
#include <string>
#include <vector>

namespace gyre::cluster {

struct EtcdConfig {
    std::vector<io::Endpoint> endpoints;  ///< Client addresses of the members, at least one.
    Duration request_limit = 2s;          ///< Of one try at one member.
    Duration retry_delay = 200ms;         ///< Before a lost watch is opened again.
    Duration watch_refresh = 30s;         ///< A silent watch is opened anew: its link may be dead.
};

/// Keys and values are any bytes. Revisions grow by one with each change of the whole store.
struct EtcdPair {
    std::string key, value;
    std::int64_t create_revision = 0, mod_revision = 0;
    std::int64_t lease = 0;  ///< 0: none.
};
struct EtcdRange {
    std::vector<EtcdPair> pairs;  ///< By key.
    std::int64_t revision = 0;    ///< Of the store, when it was read.
    std::uint64_t cluster = 0;
};

/// etcd 3.4 and newer through its HTTP+JSON gateway. Moves to the next member when one fails; what
/// may have run is sent again only when repeating it does no harm (range, keep alive, revoke).
/// Errors of all: refused (nobody answers), timed_out, disconnected and unavailable (it may have
/// run), not_found (the lease), overloaded, bad_data, cancelled.
class EtcdClient {
public:
    EtcdClient(io::Io& io, EtcdConfig config);

    Task<std::int64_t> lease_grant(std::chrono::seconds ttl);  ///< Id; etcd allows 2 s and more.
    /// What is left of it now. Error: not_found, it has expired.
    Task<std::chrono::seconds> lease_keep_alive(std::int64_t lease);
    Task<> lease_revoke(std::int64_t lease);  ///< Deletes its keys. Error: not_found.

    Task<std::int64_t> put(std::string key, std::string value,
                           std::int64_t lease = 0);  ///< Revision.
    Task<std::optional<EtcdPair>> get(std::string key);
    Task<EtcdRange> range(std::string prefix);  ///< "": everything.
    Task<bool> remove(std::string key);         ///< False when it was not there.

    /// Writes if `mod_revision` is still its last change (0: if it is absent). Its revision now;
    /// 0: refused. The way to a lock, a unique name, a claim.
    Task<std::int64_t> put_if(std::string key, std::string value, std::int64_t mod_revision,
                              std::int64_t lease = 0);
    Task<bool> remove_if(std::string key, std::int64_t mod_revision);

    Task<> compact(std::int64_t revision);  ///< Forgets older history.

    const EtcdConfig& config() const { return config_; }

private:
    friend class EtcdWatch;
    Task<std::string> post(std::string path, std::string body, bool repeatable);
    std::string url(std::string_view path) const;
    std::size_t member() const { return member_; }
    void avoid(std::size_t member);  ///< The next request goes to another.

    EtcdConfig config_;
    web::Client http_;
    std::size_t member_ = 0;
};

struct EtcdEvent {
    bool removed = false;
    EtcdPair pair;  ///< When removed: key and mod_revision only.
};
/// What changed under a prefix, in order.
struct EtcdChanges {
    bool complete = false;  ///< `events` is everything there is; forget what is not in it.
    std::vector<EtcdEvent> events;
    std::int64_t revision = 0;
};

/// Follows a prefix for ever, through lost links and members: first everything, then each change
/// once and in order. After a compaction or a wiped store: everything again.
///
///     EtcdWatch watch(client, "gyre/nodes/");
///     for (;;) apply(co_await watch.next());
class EtcdWatch {
public:
    /// `client` outlives it. After a range(): its revision and cluster; then only changes follow.
    EtcdWatch(EtcdClient& client, std::string prefix, std::int64_t revision = 0,
              std::uint64_t cluster = 0);
    /// Waits for the next change; while etcd is lost it tries again. Error: cancelled.
    Task<EtcdChanges> next();
    bool connected() const { return stream_.has_value(); }

private:
    Task<EtcdChanges> list();
    Task<> open();
    Task<std::optional<EtcdChanges>> read();
    std::optional<EtcdChanges> accept(std::string_view line);
    void drop();

    EtcdClient& client_;
    std::string prefix_;
    std::optional<web::StreamingResponse> stream_;
    std::string buffer_;
    std::int64_t revision_;  // the last one known; 0: list first
    std::uint64_t cluster_;  // 0: any
    std::size_t member_ = 0;
    bool lost_ = false;
};

}  // namespace gyre::cluster
