#include <gyre/cluster/etcd_client.hpp>
#include <gyre/codec/base64.hpp>
#include <gyre/log/log.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::cluster {
namespace {

// Replies of the gateway: int64 as text, bytes in base64, zero fields absent.
struct Header {
    std::uint64_t cluster_id = 0;
    std::int64_t revision = 0;
    static consteval auto describe() {
        return gyre::type<Header>("header", gyre::field<&Header::cluster_id>(),
                                  gyre::field<&Header::revision>());
    }
};
struct Pair {
    Bytes key, value;
    std::int64_t create_revision = 0, mod_revision = 0, lease = 0;
    static consteval auto describe() {
        return gyre::type<Pair>("kv", gyre::field<&Pair::key>(), gyre::field<&Pair::value>(),
                                gyre::field<&Pair::create_revision>(),
                                gyre::field<&Pair::mod_revision>(), gyre::field<&Pair::lease>());
    }
};
struct LeaseReply {
    std::int64_t id = 0, ttl = 0;
    static consteval auto describe() {
        return gyre::type<LeaseReply>("lease", gyre::field<&LeaseReply::id>("ID"),
                                      gyre::field<&LeaseReply::ttl>("TTL"));
    }
};
struct KeepAliveReply {
    LeaseReply result;
    static consteval auto describe() {
        return gyre::type<KeepAliveReply>("keepalive", gyre::field<&KeepAliveReply::result>());
    }
};
struct RangeReply {
    Header header;
    std::vector<Pair> kvs;
    static consteval auto describe() {
        return gyre::type<RangeReply>("range", gyre::field<&RangeReply::header>(),
                                      gyre::field<&RangeReply::kvs>());
    }
};
struct PutReply {
    Header header;
    std::int64_t deleted = 0;
    static consteval auto describe() {
        return gyre::type<PutReply>("reply", gyre::field<&PutReply::header>(),
                                    gyre::field<&PutReply::deleted>());
    }
};
struct TransactionReply {
    Header header;
    bool succeeded = false;
    static consteval auto describe() {
        return gyre::type<TransactionReply>("txn", gyre::field<&TransactionReply::header>(),
                                            gyre::field<&TransactionReply::succeeded>());
    }
};
struct ErrorReply {
    std::string message;
    int code = 0;
    static consteval auto describe() {
        return gyre::type<ErrorReply>("error", gyre::field<&ErrorReply::message>(),
                                      gyre::field<&ErrorReply::code>());
    }
};
struct WatchEvent {
    std::string type = "PUT";
    Pair kv;
    static consteval auto describe() {
        return gyre::type<WatchEvent>("event", gyre::field<&WatchEvent::type>(),
                                      gyre::field<&WatchEvent::kv>());
    }
};
struct WatchResult {
    Header header;
    bool created = false, canceled = false;
    std::int64_t compact_revision = 0;
    std::string cancel_reason;
    std::vector<WatchEvent> events;
    static consteval auto describe() {
        return gyre::type<WatchResult>(
            "result", gyre::field<&WatchResult::header>(), gyre::field<&WatchResult::created>(),
            gyre::field<&WatchResult::canceled>(), gyre::field<&WatchResult::compact_revision>(),
            gyre::field<&WatchResult::cancel_reason>(), gyre::field<&WatchResult::events>());
    }
};
struct WatchMessage {
    WatchResult result;
    ErrorReply error;
    static consteval auto describe() {
        return gyre::type<WatchMessage>("watch", gyre::field<&WatchMessage::result>(),
                                        gyre::field<&WatchMessage::error>());
    }
};

constexpr std::size_t line_bytes_max = 16u << 20;  // one message of a watch

template <class T>
T parse(std::string_view what, std::string_view json) {
    auto value = from_json<T>(json);
    if (!value)
        throw Error(errc::bad_data, "etcd " + std::string(what) + ": " + value.error().message());
    return std::move(*value);
}

EtcdPair to_pair(const Pair& pair) {
    return {std::string(as_text(pair.key)), std::string(as_text(pair.value)), pair.create_revision,
            pair.mod_revision, pair.lease};
}

std::string quoted(std::string_view bytes) { return '"' + to_base64(as_bytes(bytes)) + '"'; }
std::string quoted(std::int64_t number) { return '"' + std::to_string(number) + '"'; }

std::string put_json(const std::string& key, const std::string& value, std::int64_t lease) {
    return "{\"key\":" + quoted(key) + ",\"value\":" + quoted(value) +
           ",\"lease\":" + quoted(lease) + "}";
}

/// `operation` if the last change of `key` was `mod_revision`; 0: if it is absent.
std::string transaction_json(const std::string& key, std::int64_t mod_revision,
                             const std::string& operation, const std::string& arguments) {
    const std::string condition =
        mod_revision == 0 ? "\"target\":\"CREATE\",\"create_revision\":\"0\""
                          : "\"target\":\"MOD\",\"mod_revision\":" + quoted(mod_revision);
    return "{\"compare\":[{\"result\":\"EQUAL\"," + condition + ",\"key\":" + quoted(key) +
           "}],\"success\":[{\"" + operation + "\":" + arguments + "}]}";
}

/// "key" and "range_end" of all keys that begin with `prefix`.
std::string prefix_json(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && end.back() == '\xff') end.pop_back();
    if (end.empty())
        end.assign(1, '\0');  // to the last key there is
    else
        end.back() = static_cast<char>(end.back() + 1);
    const std::string begin = prefix.empty() ? std::string(1, '\0') : std::string(prefix);
    return "\"key\":" + quoted(begin) + ",\"range_end\":" + quoted(end);
}

/// From the status code of gRPC.
Error to_error(std::string_view path, const web::Response& response) {
    const auto reply = response.as<ErrorReply>();
    const std::string what =
        "etcd " + std::string(path) + ": " +
        (reply ? (*reply).message : "status " + std::to_string(response.status));
    switch (reply ? (*reply).code : 0) {
        case 3: return Error(errc::bad_arguments, what);
        case 4: return Error(errc::timed_out, what);
        case 5: return Error(errc::not_found, what);
        case 7: return Error(errc::forbidden, what);
        case 8: return Error(errc::overloaded, what);
        case 14: return Error(errc::unavailable, what);
        case 16: return Error(errc::unauthorized, what);
        default: return Error(response.status == 503 ? errc::unavailable : errc::internal, what);
    }
}

bool member_failed(const Error& error) {
    return error.is(errc::refused) || error.is(errc::timed_out) || error.is(errc::disconnected) ||
           error.is(errc::unavailable);
}

}  // namespace

EtcdClient::EtcdClient(io::Io& io, EtcdConfig config) : config_(std::move(config)), http_(io) {
    GYRE_ASSERT(!config_.endpoints.empty(), "etcd has at least one endpoint");
}

std::string EtcdClient::url(std::string_view path) const {
    return "http://" + config_.endpoints[member_].to_string() + std::string(path);
}
void EtcdClient::avoid(std::size_t member) {
    if (member == member_) member_ = (member_ + 1) % config_.endpoints.size();
}

Task<std::string> EtcdClient::post(std::string path, std::string body, bool repeatable) {
    for (std::size_t tries = 1;; ++tries) {
        const std::size_t used = member_;
        auto reply = co_await as_result(
            http_.request({"POST", url(path), {{"Content-Type", "application/json"}}, body},
                          config_.request_limit));
        if (reply && (*reply).ok()) co_return std::move((*reply).body);
        const Error error = reply ? to_error(path, *reply) : reply.error();
        if (member_failed(error)) avoid(used);
        const bool again = error.is(errc::refused) || (repeatable && member_failed(error));
        if (!again || tries >= config_.endpoints.size()) throw Error(error);
    }
}

Task<std::int64_t> EtcdClient::lease_grant(std::chrono::seconds ttl) {
    const std::string reply =
        co_await post("/v3/lease/grant", "{\"TTL\":" + quoted(ttl.count()) + "}", false);
    co_return parse<LeaseReply>("lease grant", reply).id;
}

Task<std::chrono::seconds> EtcdClient::lease_keep_alive(std::int64_t lease) {
    const std::string reply =
        co_await post("/v3/lease/keepalive", "{\"ID\":" + quoted(lease) + "}", true);
    const auto result = parse<KeepAliveReply>("lease keep alive", reply).result;
    if (result.ttl == 0)
        throw Error(errc::not_found, "etcd lease " + std::to_string(lease) + " has expired");
    co_return std::chrono::seconds(result.ttl);
}

Task<> EtcdClient::lease_revoke(std::int64_t lease) {
    (void)co_await post("/v3/lease/revoke", "{\"ID\":" + quoted(lease) + "}", true);
}

Task<std::int64_t> EtcdClient::put(std::string key, std::string value, std::int64_t lease) {
    const std::string reply = co_await post("/v3/kv/put", put_json(key, value, lease), false);
    co_return parse<PutReply>("put", reply).header.revision;
}

Task<std::optional<EtcdPair>> EtcdClient::get(std::string key) {
    const std::string reply = co_await post("/v3/kv/range", "{\"key\":" + quoted(key) + "}", true);
    const auto range = parse<RangeReply>("get", reply);
    if (range.kvs.empty()) co_return std::nullopt;
    co_return to_pair(range.kvs.front());
}

Task<EtcdRange> EtcdClient::range(std::string prefix) {
    const std::string reply = co_await post("/v3/kv/range", "{" + prefix_json(prefix) + "}", true);
    const auto range = parse<RangeReply>("range", reply);
    EtcdRange out;
    out.revision = range.header.revision;
    out.cluster = range.header.cluster_id;
    for (const Pair& pair : range.kvs) out.pairs.push_back(to_pair(pair));
    co_return out;
}

Task<bool> EtcdClient::remove(std::string key) {
    const std::string reply =
        co_await post("/v3/kv/deleterange", "{\"key\":" + quoted(key) + "}", false);
    co_return parse<PutReply>("remove", reply).deleted > 0;
}

Task<std::int64_t> EtcdClient::put_if(std::string key, std::string value, std::int64_t mod_revision,
                                      std::int64_t lease) {
    std::string body =
        transaction_json(key, mod_revision, "request_put", put_json(key, value, lease));
    const std::string reply = co_await post("/v3/kv/txn", std::move(body), false);
    const auto outcome = parse<TransactionReply>("put if", reply);
    co_return outcome.succeeded ? outcome.header.revision : 0;
}

Task<bool> EtcdClient::remove_if(std::string key, std::int64_t mod_revision) {
    std::string body = transaction_json(key, mod_revision, "request_delete_range",
                                        "{\"key\":" + quoted(key) + "}");
    const std::string reply = co_await post("/v3/kv/txn", std::move(body), false);
    co_return parse<TransactionReply>("remove if", reply).succeeded;
}

Task<> EtcdClient::compact(std::int64_t revision) {
    (void)co_await post("/v3/kv/compaction", "{\"revision\":" + quoted(revision) + "}", false);
}

EtcdWatch::EtcdWatch(EtcdClient& client, std::string prefix, std::int64_t revision,
                     std::uint64_t cluster)
    : client_(client), prefix_(std::move(prefix)), revision_(revision), cluster_(cluster) {}

Task<EtcdChanges> EtcdWatch::next() {
    for (;;) {
        std::optional<Error> failure;
        try {
            if (revision_ == 0) co_return co_await list();
            if (!stream_) co_await open();
            if (auto changes = co_await read()) co_return std::move(*changes);
        } catch (const Error& error) {
            if (error.is(errc::cancelled)) throw;
            failure = error;
        }
        if (!failure) continue;
        drop();
        if (member_failed(*failure)) client_.avoid(member_);
        if (!std::exchange(lost_, true))
            log::warn("etcd.watch_lost", {{"prefix", prefix_}, {"reason", *failure}});
        co_await sleep(client_.config().retry_delay);
    }
}

Task<EtcdChanges> EtcdWatch::list() {
    member_ = client_.member();
    EtcdRange range = co_await client_.range(prefix_);
    revision_ = range.revision;
    cluster_ = range.cluster;
    EtcdChanges changes;
    changes.complete = true;
    for (EtcdPair& pair : range.pairs) changes.events.push_back({false, std::move(pair)});
    changes.revision = revision_;
    co_return changes;
}

Task<> EtcdWatch::open() {
    member_ = client_.member();
    const std::string body = "{\"create_request\":{" + prefix_json(prefix_) +
                             ",\"start_revision\":" + quoted(revision_ + 1) + "}}";
    auto stream = co_await client_.http_.stream(
        {"POST", client_.url("/v3/watch"), {{"Content-Type", "application/json"}}, body},
        client_.config().request_limit);
    if (stream.status != 200)
        throw Error(errc::unavailable, "etcd watch: status " + std::to_string(stream.status));
    stream_.emplace(std::move(stream));
}

void EtcdWatch::drop() {
    stream_.reset();
    buffer_.clear();
}

Task<std::optional<EtcdChanges>> EtcdWatch::read() {
    std::size_t end = 0;
    while ((end = buffer_.find('\n')) == buffer_.npos) {
        auto part =
            co_await as_result(with_timeout(client_.config().watch_refresh, stream_->next()));
        if (!part && part.error().is(errc::timed_out)) {
            drop();
            co_return std::nullopt;
        }
        std::optional<Bytes> bytes = std::move(part).value();
        if (!bytes) throw Error(errc::disconnected, "etcd ended the watch");
        buffer_.append(as_text(*bytes));
        if (buffer_.size() > line_bytes_max)
            throw Error(errc::too_large, "etcd watch: a message over 16 MiB");
    }
    const std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    co_return accept(line);
}

std::optional<EtcdChanges> EtcdWatch::accept(std::string_view line) {
    const auto message = parse<WatchMessage>("watch", line);
    const WatchResult& result = message.result;
    if (!message.error.message.empty())
        throw Error(errc::unavailable, "etcd watch: " + message.error.message);
    if (result.canceled && result.compact_revision == 0)
        throw Error(errc::unavailable, "etcd watch: canceled, " + result.cancel_reason);
    const bool another_store =
        result.created && (result.header.revision < revision_ ||
                           (cluster_ != 0 && result.header.cluster_id != cluster_));
    if (result.canceled || another_store) {
        log::warn("etcd.watch_restarted", {{"prefix", prefix_},
                                           {"revision", revision_},
                                           {"compact_revision", result.compact_revision},
                                           {"store_revision", result.header.revision}});
        drop();
        revision_ = 0;
        return std::nullopt;
    }
    if (result.created && std::exchange(lost_, false))
        log::info("etcd.watch_resumed", {{"prefix", prefix_}, {"revision", revision_}});
    if (result.events.empty()) return std::nullopt;
    EtcdChanges changes;
    for (const WatchEvent& event : result.events) {
        revision_ = std::max(revision_, event.kv.mod_revision);
        changes.events.push_back({event.type == "DELETE", to_pair(event.kv)});
    }
    changes.revision = revision_;
    return changes;
}

}  // namespace gyre::cluster
