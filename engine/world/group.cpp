#include <algorithm>
#include <gyre/log/log.hpp>
#include <gyre/rpc/moved.hpp>
#include <gyre/world/fanout.hpp>
#include <gyre/world/group.hpp>

namespace gyre::world {
namespace {
/// Above, what is sent to other nodes is dropped: they do not keep up.
constexpr std::size_t underway_max = 1024;
}  // namespace

std::shared_ptr<GroupCore> GroupCore::make(std::string_view type) {
    return std::make_shared<GroupCore>(type);
}
void GroupCore::entity_ended(EntityId id) { leave(id); }

void GroupCore::encode(Writer& writer, Duration limit) const {
    writer.array(3);
    Codec<std::vector<EntityId>>::encode(writer, ids());
    Codec<std::vector<EntityId>>::encode(writer, left_);
    Codec<Duration>::encode(writer, limit);
}

bool GroupCore::decode(Reader& reader, Duration& limit) {
    std::size_t count = 0;
    if (!reader.exact_array(3) || !reader.array(count, sizeof(Member) * 2)) return false;
    for (std::size_t i = 0; i < count; ++i) {
        EntityId id = 0;
        if (!reader.integer(id)) return reader.in_element(i);
        if (id == 0 || (!members_.empty() && id <= members_.back().id))
            return reader.fail("expected ids of members, ascending") || reader.in_element(i);
        members_.emplace_back().id = id;
        watch(id);
    }
    return Codec<std::vector<EntityId>>::decode(reader, left_) && Codec<Duration>::decode(reader, limit);
}

GroupCore::Member* GroupCore::find(EntityId id) {
    const auto at = std::lower_bound(members_.begin(), members_.end(), id,
                                     [](const Member& one, EntityId other) { return one.id < other; });
    return at != members_.end() && at->id == id ? &*at : nullptr;
}
bool GroupCore::contains(EntityId id) const { return const_cast<GroupCore*>(this)->find(id); }

std::vector<EntityId> GroupCore::ids() const {
    std::vector<EntityId> all;
    all.reserve(members_.size());
    for (const Member& one : members_) all.push_back(one.id);
    return all;
}

bool GroupCore::add(EntityId id) {
    GYRE_ASSERT(id != 0, "a member is an entity");
    if (contains(id)) return false;
    const auto at = std::lower_bound(members_.begin(), members_.end(), id,
                                     [](const Member& one, EntityId other) { return one.id < other; });
    members_.insert(at, Member{})->id = id;
    watch(id);
    return true;
}

void GroupCore::watch(EntityId id) {
    Host* host = current && current->node ? current->node->host : nullptr;
    if (Record* record = host ? host->find(id) : nullptr) {
        std::erase_if(record->groups, [](const auto& one) { return one.expired(); });
        record->groups.push_back(weak_from_this());
    }
}

bool GroupCore::remove(EntityId id) {
    Member* member = find(id);
    if (!member) return false;
    members_.erase(members_.begin() + (member - members_.data()));
    if (Record* record = current->node->host->find(id))
        std::erase_if(record->groups, [this](const auto& one) { return one.lock().get() == this; });
    return true;
}

void GroupCore::leave(EntityId id) {
    Member* member = find(id);
    if (!member) return;
    members_.erase(members_.begin() + (member - members_.data()));
    left_.push_back(id);
}

void GroupCore::notify(rpc::MethodName method, Bytes arguments) {
    Host& host = *current->node->host;
    rpc::Rpc& rpc = *current->node->rpc;
    const auto keep = shared_from_this();
    const auto parcel =
        std::make_shared<const Parcel>(Parcel{std::string(method.text), std::move(arguments)});
    std::map<io::Endpoint, std::vector<EntityId>> far;
    std::vector<EntityId> near, gone;
    for (Member& one : members_) {
        if (host.owns(one.id)) {
            near.push_back(one.id);
            continue;
        }
        if (one.at.port == 0) {
            // Nobody to ask: it may be there again later. Here: it would be among ours.
            const io::Endpoint* at = rpc.resolver() ? rpc.resolver()->known(one.id, type_) : &rpc.address();
            if (at && *at != rpc.address()) one.at = *at;
            else if (at) gone.push_back(one.id);
        }
        if (one.at.port != 0) far[one.at].push_back(one.id);
    }
    for (const EntityId id : gone) leave(id);
    for (auto& [at, ids] : far) send(at, parcel, std::move(ids), false);
    for (const EntityId id : near) {  // may change this group
        rpc::IncomingCall call;
        call.entity = id;
        call.method = method;
        call.arguments = parcel->arguments;
        if (host.owns(id)) host.dispatch(call, {});
    }
}

void GroupCore::send(const io::Endpoint& to, std::shared_ptr<const Parcel> parcel,
                     std::vector<EntityId> ids, bool again) {
    if (underway_ >= underway_max) {
        log::warn("world.group_dropped", {{"to", to.to_string()}, {"method", parcel->method},
                                          {"members", ids.size()}});
        return;
    }
    if (!again)
        for (const EntityId id : ids)
            if (Member* one = find(id)) ++one->underway;
    ++underway_;
    (void)go(*current->node->scope, deliver(to, std::move(parcel), std::move(ids), again));
}

Task<> GroupCore::deliver(io::Endpoint to, std::shared_ptr<const Parcel> parcel,
                          std::vector<EntityId> ids, bool again) {
    const auto keep = shared_from_this();
    const auto missing = co_await as_result(
        at(to).service<Fanout>().call<&Fanout::deliver>(parcel->method, parcel->arguments, ids));
    --underway_;
    rpc::Resolver* resolver = current->node->rpc->resolver();
    std::map<EntityId, io::Endpoint> elsewhere;
    if (missing) {
        for (const Missing& one : *missing) {
            auto there = one.at.empty() ? Result<io::Endpoint>(Error(errc::entity_gone))
                                        : io::Endpoint::parse(one.at);
            if (there && !again) {
                elsewhere.emplace(one.entity, *std::move(there));
                continue;
            }
            if (resolver) resolver->forget(one.entity);
            if (Member* member = find(one.entity)) member->at.port = 0;
            if (!there) leave(one.entity);
        }
    } else if (!missing.error().is(errc::cancelled)) {
        log::warn("world.group_dropped", {{"to", to.to_string()}, {"method", parcel->method},
                                          {"members", ids.size()}, {"error", missing.error().what()}});
    }
    std::map<io::Endpoint, std::vector<EntityId>> second;
    for (const EntityId id : ids) {
        const auto moved = elsewhere.find(id);
        Member* one = find(id);
        if (one && !again) --one->underway;
        if (one && !missing) one->at.port = 0;
        if (!one || moved == elsewhere.end()) continue;
        if (resolver) resolver->moved(id, moved->second);
        // Until all that is under way was answered, it goes the same way: order is kept.
        if (one->underway == 0) one->at = moved->second;
        second[moved->second].push_back(id);
    }
    for (auto& [at, late] : second) send(at, parcel, std::move(late), true);
}

Task<GroupCore::Answers> GroupCore::call(rpc::MethodName method, Bytes arguments, Duration limit) {
    rpc::Rpc& rpc = *current->node->rpc;
    rpc::CallOptions options = rpc.default_options();
    if (limit > Duration::zero()) options.limit = limit;
    auto members = ids();
    std::vector<Task<Bytes>> calls;
    for (const EntityId id : members)
        calls.push_back(rpc.call({.entity = id, .type = type_}, method, arguments, options));
    return collect(shared_from_this(), std::move(members), std::move(calls));
}

Task<GroupCore::Answers> GroupCore::collect(std::shared_ptr<GroupCore> self, std::vector<EntityId> ids,
                                            std::vector<Task<Bytes>> calls) {
    auto results = co_await rpc::fan_out(std::move(calls));
    Answers answers;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (!results[i] && rpc::says_gone(results[i].error(), ids[i])) self->leave(ids[i]);
        answers.emplace_back(ids[i], std::move(results[i]));
    }
    co_return answers;
}

}  // namespace gyre::world
