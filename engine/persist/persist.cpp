#include <algorithm>
#include <gyre/codec/codec.hpp>
#include <gyre/log/log.hpp>
#include <gyre/persist/persist.hpp>

namespace gyre::persistence {

constexpr std::string_view yield_method = "NodeService.yield";
constexpr Duration last_save_pause_max = 2s;

struct Persist::State {
    std::uint64_t epoch = 0;
    Bytes saved;  // what the database has
    Mutex saving;
    bool fenced = false;
    bool doubted = false;  // another may own it by now
};

struct Persist::Loading {
    Event done;
    std::optional<Error> failure;
};

Persist::Persist(world::Host& host, store::Documents& documents, Owners& owners,
                 PersistConfig config)
    : host_(host),
      documents_(documents),
      owners_(owners),
      config_(config) {
    host_.set_keeper(this);
}
Persist::~Persist() { host_.set_keeper(nullptr); }

Bytes Persist::capture(const world::Record& record) {
    Writer writer(Form::names);
    const auto has_stored = [](const world::TypeTable& type) {
        for (const auto& field : type.fields)
            if (has_any(field.flags, Flags::persist)) return true;
        return false;
    };
    std::size_t parts = has_stored(record.type);
    for (const auto& component : record.type.components) parts += has_stored(*component.type);
    writer.map(parts);
    const auto part = [&](const world::TypeTable& type, const void* object) {
        if (!has_stored(type)) return;
        writer.text(type.name);
        encode_fields(writer, object, type.fields, Flags::persist);
    };
    part(record.type, record.object);
    for (const auto& component : record.type.components)
        part(*component.type, component.access(record.object));
    return writer.take();
}

Result<> Persist::restore(const world::TypeTable& type, void* entity, BytesView document) {
    Reader reader(document);
    std::size_t parts = 0;
    if (!reader.map(parts)) return reader.error(type.name);
    for (; parts > 0; --parts) {
        std::string_view name;
        if (!reader.text(name)) return reader.error(type.name);
        const world::TypeTable* found = name == type.name ? &type : nullptr;
        void* object = entity;
        for (const auto& component : type.components)
            if (component.type->name == name) {
                found = component.type;
                object = component.access(entity);
            }
        // A component that is no more is left out; its data goes with the next save.
        const bool ok = found ? read_fields(reader, object, found->fields, Flags::persist, found->migrate)
                              : reader.skip();
        if (!ok) return reader.error(std::string(type.name) + "." + std::string(name));
    }
    if (!reader.finish()) return reader.error(type.name);
    return {};
}

Task<> Persist::activate(EntityId id, const world::TypeTable& type) {
    return load(id, type, false, {});
}
Task<> Persist::load_or_create(EntityId id, const world::TypeTable& type,
                               std::function<void(void*)> init) {
    return load(id, type, true, std::move(init));
}

Task<> Persist::load(EntityId id, const world::TypeTable& type, bool create,
                     std::function<void(void*)> init) {
    for (;;) {
        if (const auto* record = host_.find(id)) {
            const auto* state = static_cast<const State*>(record->storage.get());
            if (!record->stopping && !(state && state->doubted)) co_return;
            co_await sleep(1ms);  // its last save, or its claim, is on the way
            continue;
        }
        const auto running = loading_.find(id);
        if (running == loading_.end()) break;
        const auto other = running->second;
        co_await other->done.wait();
        if (!other->failure || other->failure->is(errc::cancelled)) continue;
        if (create && other->failure->is(errc::entity_gone)) continue;  // it did not create
        throw *other->failure;
    }
    const auto mine = std::make_shared<Loading>();
    loading_.emplace(id, mine);
    struct Leave {
        Persist& self;
        EntityId id;
        Loading& loading;
        ~Leave() {
            self.loading_.erase(id);
            loading.done.set();
        }
    } leave{*this, id, *mine};
    try {
        const std::string key = std::to_string(id);
        auto document = co_await claim(type, key, id, create, init);
        auto state = std::make_shared<State>();
        state->epoch = document.epoch;
        state->saved = std::move(document.value);
        Result<> read;
        // Into a fresh one first: a document that cannot be read must not half-fill an entity.
        {
            world::Record fresh(host_, id, host_.hosted(type));
            read = restore(type, fresh.object, state->saved);
        }
        if (!read) {
            co_await documents_.release(std::string(type.name), key, state->epoch);
            throw read.error();
        }
        host_.create(type, id, [&](void* entity) {
            (void)restore(type, entity, state->saved);
            host_.find(id)->storage = state;  // on_start may save or retire it
        });
        log::debug("persist.loaded", {{"type", type.name}, {"id", id}, {"epoch", state->epoch}});
    } catch (const Error& error) {
        mine->failure = error;
        throw;
    }
}

Task<store::Document> Persist::claim(const world::TypeTable& type, std::string key, EntityId id,
                                     bool create, const std::function<void(void*)>& init) {
    const std::string collection(type.name);
    std::optional<std::uint64_t> given_up;  // the epoch whose owner no longer needs it
    for (int attempt = 0; attempt < 5; ++attempt) {
        const auto me = owners_.self();
        if (!me)
            throw Error(errc::unavailable, collection + "/" + key + ": this node holds no lease");
        const auto found = co_await documents_.find(collection, key);
        if (!found && !create)
            throw Error(errc::entity_gone, collection + "/" + key + " does not exist");
        std::optional<Bytes> initial;
        if (!found) {
            world::Record blank(host_, id, host_.hosted(type));  // the values a new one begins with
            if (init) init(blank.object);
            initial = capture(blank);
        }
        std::optional<std::uint64_t> expected;
        if (found && !found->owner.node.empty()) {
            const store::Owner& owner = found->owner;
            const bool mine = owner == *me;
            if (!mine && given_up != found->epoch) {
                bool yielded = false;
                if (const auto address = owners_.address(owner)) {
                    rpc::CallOptions options = host_.node().rpc->default_options();
                    options.limit = config_.yield_limit;
                    const auto reply = co_await as_result(host_.node().rpc->call(
                        {.at = *address}, {fnv1a(yield_method), yield_method},
                        encode(std::tuple(id)), options));
                    const auto answer = reply ? decode<bool>(*reply) : Result<bool>(false);
                    yielded = answer && *answer;
                }
                if (!yielded && co_await owners_.alive(owner))
                    throw Error(errc::fenced, collection + "/" + key + " is held by " + owner.node +
                                                  ", which does not give it up");
                if (yielded) {  // read again: it was saved, and as a rule released
                    given_up = found->epoch;
                    continue;
                }
            }
            expected = found->epoch;
        } else if (found) {
            expected = found->epoch;
        }
        auto claimed =
            co_await as_result(documents_.claim(collection, key, *me, expected, initial));
        if (claimed) co_return std::move(*claimed);
        if (!claimed.error().is(errc::conflict)) throw claimed.error();
    }
    throw Error(errc::fenced, collection + "/" + key + " changes owners all the time");
}

Task<> Persist::save(world::Record& record) {
    const auto state = std::static_pointer_cast<State>(record.storage);
    if (!state) throw Error(errc::bad_arguments, record.scope.name() + " is not stored");
    const auto permit = co_await state->saving.lock();
    if (state->fenced) throw Error(errc::fenced, record.scope.name());
    Bytes now = capture(record);
    ++compared_;
    if (now == state->saved) co_return;
    const EntityId id = record.id;
    const std::string collection(record.type.name);
    const auto result = co_await as_result(
        documents_.save(collection, std::to_string(id), now, state->epoch));
    if (result) {
        log::debug("persist.saved", {{"type", collection}, {"id", id}, {"bytes", now.size()}});
        state->saved = std::move(now);
        ++saves_;
        co_return;
    }
    if (result.error().is(errc::fenced)) fence(*state, collection, id, result.error());
    throw result.error();
}

void Persist::fence(State& state, const std::string& collection, EntityId id, const Error& why) {
    state.fenced = true;
    ++fenced_;
    log::warn("persist.fenced", {{"type", collection}, {"id", id}, {"error", why.what()}});
    host_.retire(id);
}

void Persist::doubt() {
    for (const EntityId id : host_.ids({}))
        if (auto* state = static_cast<State*>(host_.find(id)->storage.get())) state->doubted = true;
    if (!std::exchange(reclaiming_, true)) (void)go(*host_.node().scope, reclaim());
}

Task<> Persist::reclaim() {
    for (bool left = true; left; co_await sleep(10ms)) {
        left = false;
        const auto me = owners_.self();  // nothing until this node has registered
        std::vector<Join<>> claims;
        for (const EntityId id : host_.ids({})) {
            const auto* record = host_.find(id);
            const auto state = std::static_pointer_cast<State>(record->storage);
            if (!state || !state->doubted || record->stopping) continue;
            left = true;
            if (me) claims.push_back(go(claim_again(state, std::string(record->type.name), id, *me)));
        }
        for (auto& claim : claims) co_await claim;
    }
    reclaiming_ = false;
}

Task<> Persist::claim_again(std::shared_ptr<State> state, std::string collection, EntityId id,
                            store::Owner me) {
    const auto permit = co_await state->saving.lock();
    if (!state->doubted || state->fenced) co_return;
    const std::string key = std::to_string(id);
    const auto claimed = co_await as_result(documents_.claim(collection, key, me, state->epoch, {}));
    if (claimed) {
        state->epoch = claimed->epoch;
        state->doubted = false;
    } else if (claimed.error().is(errc::conflict) || claimed.error().is(errc::not_found)) {
        // An earlier try may have been carried out without an answer.
        const auto found = co_await as_result(documents_.find(collection, key));
        if (!found) co_return;
        if (*found && (*found)->owner == me) {
            state->epoch = (*found)->epoch;
            state->doubted = false;
        } else {
            fence(*state, collection, id, claimed.error());
        }
    }  // else the database fails: again, later
}

Task<> Persist::stopped(world::Record& record) {
    const auto state = std::static_pointer_cast<State>(record.storage);
    // What is not saved now is lost: a database that fails for a moment is asked again.
    for (Duration pause = 50ms;; pause *= 2) {
        if (state->fenced) co_return;
        try {
            co_await save(record);
            co_await documents_.release(std::string(record.type.name), std::to_string(record.id),
                                        state->epoch);
            co_return;
        } catch (const Error& error) {
            if (error.is(errc::fenced) || pause > last_save_pause_max) throw;
        }
        co_await sleep(pause);
    }
}

Task<bool> Persist::yield(EntityId id) {
    for (auto at = loading_.find(id); at != loading_.end(); at = loading_.find(id)) {
        const auto loading = at->second;
        co_await loading->done.wait();
    }
    const auto* record = host_.find(id);
    if (record && !record->storage) co_return false;
    co_await host_.destroy(id);
    while (host_.find(id)) co_await sleep(1ms);  // somebody else began to end it
    co_return true;
}

void Persist::start_autosave(Scope& scope) { (void)go(scope, autosave()); }

/// In the scope of the autosave: in the entity's own it would mark it.
Task<> Persist::save_marked(world::Record* record) {
    const EntityId id = record->id;
    const std::string name = record->scope.name();
    const auto saved = co_await as_result(save(*record));
    if (saved) co_return;
    if (world::Record* still = host_.find(id)) still->mark();
    if (!saved.error().is(errc::fenced) && !saved.error().is(errc::cancelled))
        log::error("persist.save_failed", {{"entity", name}, {"error", saved.error().what()}});
}

Task<> Persist::autosave() {
    // A share at a time, so that many entities make no long turn.
    constexpr std::uint64_t shares = 16;
    for (std::uint64_t share = 0;; share = (share + 1) % shares) {
        co_await sleep(config_.autosave / shares);
        for (const EntityId id : host_.ids({})) {
            if (id % shares != share) continue;
            auto* record = host_.find(id);
            if (!record || !record->storage || record->stopping) continue;
            const auto& state = *static_cast<State*>(record->storage.get());
            // Being saved now: the next time, for its memory may be gone when that has ended.
            if (state.fenced || state.saving.free() == 0) continue;
            if (config_.check_marks) check_mark(*record);
            if (record->take_mark(world::MarkFor::save)) (void)go(save_marked(record));
        }
    }
}

bool PersistConfig::check_marks_by_default() {
#if !defined(__OPTIMIZE__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
}

namespace {
/// "Bag.gold": the first field of a document that is not as before.
std::string first_difference(BytesView before, BytesView now) {
    Reader old_parts(before), parts(now);
    std::size_t old_count = 0, count = 0;
    if (!old_parts.map(old_count) || !parts.map(count)) return "?";
    for (; count > 0 && old_count > 0; --count, --old_count) {
        std::string_view old_type, type, old_name, name;
        std::size_t old_fields = 0, fields = 0;
        if (!old_parts.text(old_type) || !parts.text(type) || old_type != type) return "?";
        if (!old_parts.map(old_fields) || !parts.map(fields)) return "?";
        for (; fields > 0 && old_fields > 0; --fields, --old_fields) {
            BytesView old_value, value;
            if (!old_parts.text(old_name) || !parts.text(name) || old_name != name) return "?";
            if (!old_parts.value(old_value) || !parts.value(value)) return "?";
            if (!std::ranges::equal(old_value, value))
                return std::string(type) + "." + std::string(name);
        }
    }
    return "?";
}
}  // namespace

void Persist::check_mark(world::Record& record) {
    if (record.marked(world::MarkFor::save)) return;
    const auto& state = *static_cast<State*>(record.storage.get());
    const Bytes now = capture(record);
    if (now == state.saved) return;
    log::error("world.missed_mark", {{"type", record.type.name},
                                     {"entity", record.id},
                                     {"field", first_difference(state.saved, now)}});
    record.mark();
}

}  // namespace gyre::persistence
