#include <algorithm>
#include <gyre/log/log.hpp>
#include <gyre/trace/failed.hpp>
#include <gyre/rpc/moved.hpp>
#include <gyre/world/detail/timer_table.hpp>
#include <gyre/world/fanout.hpp>

namespace gyre::world {

namespace {
Context context_of(Host& host, EntityId id, Record* record) {
    Context context;
    context.node = &host.node();
    context.entity = id;
    context.object = record;
    return context;
}
}  // namespace

Record::Record(Host& h, EntityId i, const HostedType& hosted_)
    : host(h),
      id(i),
      hosted(hosted_),
      type(hosted_.table),
      scope(h.executor(), std::string(type.name) + (i ? "/" + std::to_string(i) : ""),
            context_of(h, i, this)),
      timers(*this),
      ticks(*this) {
    scope.context().ran = &marks;
    object = ::operator new(type.size, std::align_val_t(type.align));
    ContextGuard guard(&scope.context());
    type.construct(object);
    type.attach(object, *this);
}
void Record::list() {
    place = hosted.objects.size();
    hosted.objects.push_back(this);
}
Record::~Record() {
    if (place < hosted.objects.size()) {
        Record* const last = hosted.objects.back();
        hosted.objects[place] = last;
        last->place = place;
        hosted.objects.pop_back();
    }
    ticks.remove_all();
    {
        ContextGuard guard(&scope.context());
        type.destroy(object);
    }
    ::operator delete(object, std::align_val_t(type.align));
}

Host::Host(Executor& executor, NodeIdentity& node, std::function<std::uint64_t()> random,
           std::function<WallTime()> wall_now)
    : executor_(executor),
      node_(node),
      random_(std::move(random)),
      timer_table_(std::make_unique<TimerTable>(executor, std::move(wall_now))) {}
Host::~Host() = default;

void HostedType::Named::take(const TypeTable& from) {
    if (name.empty()) name = from.name, role = from.role;
    table = from;
    table.name = name;
    table.role = role;
}

void HostedType::take(const TypeTable& from) {
    source = &from;
    component_tables_.resize(from.components.size());
    components_.clear();
    for (std::size_t i = 0; i < from.components.size(); ++i) {
        auto& owned = component_tables_[i];
        const ComponentEntry& component = from.components[i];
        if (!owned || owned->name != component.type->name) owned = std::make_unique<Named>();
        owned->take(*component.type);
        components_.push_back({&owned->table, component.access});
    }
    self_.take(from);
    table = self_.table;
    table.components = components_;
}

Result<> Host::add_types(std::span<const TypeTable* const> types, std::string_view module) {
    for (const TypeTable* type : types) {
        if (types_.contains(type->name))
            return Error(errc::conflict, "two modules describe a type \"" + std::string(type->name) + "\"");
        HostedType& hosted = types_[std::string(type->name)];
        hosted.module = module;
        hosted.take(*type);
        fill_slots(hosted);
    }
    index_methods();
    return {};
}

void Host::fill_slots(HostedType& hosted) {
    hosted.methods = {};
    const auto add = [&](const rpc::MethodEntry& method, void* (*access)(void*)) {
        std::size_t limit = 0;
        if (method.limit.at_once || method.limit.per_second) {
            const auto at = std::ranges::find(hosted.limited, method.id);
            limit = static_cast<std::size_t>(at - hosted.limited.begin()) + 1;
            if (at == hosted.limited.end()) hosted.limited.push_back(method.id);
        }
        auto stats = stats_.find(method.full_name);
        if (stats == stats_.end()) stats = stats_.try_emplace(std::string(method.full_name)).first;
        hosted.methods.insert(method.id, {access, &method, &stats->second, limit});
    };
    for (const auto& method : hosted.table.methods) add(method, nullptr);
    for (const auto& component : hosted.table.components)
        for (const auto& method : component.type->methods) add(method, component.access);
}

void Host::index_methods() {
    types_by_method_.clear();
    for (auto& [name, hosted] : types_)
        if (hosted.table.kind == TypeKind::entity)
            hosted.methods.each([&](std::uint64_t id, const auto&) { types_by_method_[id].push_back(&hosted.table); });
    service_by_method_ = {};
    for (const auto& record : services_)
        for (const auto& method : record->type.methods) service_by_method_.insert(method.id, record.get());
}

const TypeTable* Host::find_type(std::string_view name) const {
    const auto found = types_.find(name);
    return found == types_.end() ? nullptr : &found->second.table;
}
std::vector<const TypeTable*> Host::types() const {
    std::vector<const TypeTable*> all;
    for (const auto& [name, hosted] : types_) all.push_back(&hosted.table);
    return all;
}

const HostedType& Host::hosted(const TypeTable& type) const {
    const auto found = types_.find(type.name);
    GYRE_ASSERT(found != types_.end(), "the type of an entity was added to its host");
    return found->second;
}

std::string_view Host::type_of_method(std::uint64_t method) const {
    const auto found = types_by_method_.find(method);
    return found == types_by_method_.end() ? std::string_view() : found->second.front()->name;
}

Record& Host::create(const TypeTable& type, EntityId id,
                     const std::function<void(void*)>& init) {
    GYRE_ASSERT(type.kind == TypeKind::entity, "create() makes entities");
    while (id == 0 || entities_.contains(id)) {
        GYRE_ASSERT(id == 0, "an entity with this id is here already");
        id = make_entity_id(0, random_());
    }
    auto made = std::make_unique<Record>(*this, id, hosted(type));
    Record& record = *made;
    entities_.insert(id, std::move(made));
    record.list();
    if (init) {
        ContextGuard guard(&record.scope.context());
        try {
            init(record.object);
        } catch (...) {
            entities_.erase(id);
            throw;
        }
    }
    if (on_presence) on_presence(id, type, true);
    (void)go(record.scope, start(record));
    return record;
}

Task<> Host::start(Record& record) {
    try {
        if (record.type.on_start) co_await record.type.on_start(record.object);
        for (const auto& component : record.type.components)
            if (component.type->on_start)
                co_await component.type->on_start(component.access(record.object));
    } catch (...) {
        // What the module threw is its own: it must not outlive it here.
        const Error error = to_error(std::current_exception());
        if (!error.is(errc::cancelled))
            trace::failed("world.start_failed", std::current_exception(), {{"type", record.type.name}});
        record.failed = error;
    }
    record.started.set();
    if (record.failed) {
        if (record.id && !record.stopping) retire(record.id);
        throw Error(*record.failed);
    }
    start_residents(record);
    if (record.id) log::debug("world.entity_started", {{"type", record.type.name}, {"entity", record.id}});
}

namespace {
/// A hook that fails keeps no other from running.
Task<> run_on_stop(const TypeTable* type, void* object) {
    if (!type->on_stop) co_return;
    try {
        co_await with_timeout(Host::stop_limit, type->on_stop(object));
    } catch (...) {
        trace::failed("world.stop_failed", std::current_exception(), {{"type", type->name}});
    }
}
}  // namespace

Task<> Host::stop(Record& record) {
    record.stopping = true;
    for (const auto& group : std::exchange(record.groups, {}))
        if (const auto there = group.lock()) there->entity_ended(record.id);
    record.timers.cancel_all();
    record.ticks.remove_all();
    co_await record.scope.close();
    record.started.set();
    // The hooks run in a scope of their own: that of the entity has ended.
    Scope last(executor_, "stopping " + record.scope.name(), record.scope.context());
    auto hooks = [](Record* r) -> Task<> {
        for (auto it = r->type.components.rbegin(); it != r->type.components.rend(); ++it)
            co_await run_on_stop(it->type, it->access(r->object));
        co_await run_on_stop(&r->type, r->object);
    };
    Shield shield;  // an entity half stopped would be neither here nor saved
    if (!record.failed) {
        auto run = go(last, hooks(&record));
        co_await run;
    }
    co_await last.close();
    record.timers.cancel_all();  // what the hooks left behind
    record.ticks.remove_all();
    co_await record.scope.close();
}

Task<> Host::destroy(EntityId id) {
    Record* const found = find(id);
    if (!found || found->stopping) co_return;
    Record& record = *found;
    if (current->scope == &record.scope)
        throw Error("closed_from_inside", record.scope.name() + " is destroyed by itself: retire() it");
    co_await stop(record);
    if (keeper_ && record.storage) {
        const auto saved = co_await as_result(shielded(keeper_->stopped(record)));
        if (!saved)
            log::error("world.last_save_failed",
                       {{"type", record.type.name}, {"entity", id}, {"error", saved.error().what()}});
    }
    const auto ended = record.ended;
    if (on_presence) on_presence(id, record.type, false);
    log::debug("world.entity_ended", {{"type", record.type.name}, {"entity", id}});
    entities_.erase(id);
    ended->set();
}

Task<> Host::gone(EntityId id) {
    const Record* record = find(id);
    if (!record) co_return;
    const auto ended = record->ended;
    co_await ended->wait();
}

void Host::retire(EntityId id) { (void)go(*node_.scope, destroy(id)); }

Record* Host::find(EntityId id) const {
    const auto* found = entities_.find(id);
    return found ? found->get() : nullptr;
}

std::vector<EntityId> Host::ids(std::string_view type) const {
    std::vector<EntityId> all;
    for (const auto& [name, hosted] : types_)
        if ((type.empty() || name == type) && hosted.table.kind == TypeKind::entity)
            for (const Record* record : hosted.objects) all.push_back(record->id);
    std::sort(all.begin(), all.end());
    return all;
}

void Host::each_marked(MarkFor who, const std::function<void(Record&)>& visit) {
    std::vector<EntityId> marked;
    entities_.each([&](EntityId id, const auto& record) {
        if (record->take_mark(who)) marked.push_back(id);
    });
    std::sort(marked.begin(), marked.end());
    for (const EntityId id : marked)
        if (Record* record = find(id)) visit(*record);
}

Task<> Host::start_services(std::string_view role) {
    for (auto& [name, hosted] : types_) {
        const TypeTable* type = &hosted.table;
        if (type->kind != TypeKind::service || (!type->role.empty() && type->role != role)) continue;
        if (find_service(name)) continue;
        services_.push_back(std::make_unique<Record>(*this, 0, hosted));
        Record& record = *services_.back();
        record.list();
        for (const auto& method : type->methods) service_by_method_.insert(method.id, &record);
        auto join = [](Join<> job) -> Task<> { co_await job; };
        co_await join(go(record.scope, start(record)));
    }
}

Task<> Host::start_added_services(std::string role) {
    const std::size_t before = services_.size();
    const auto started = co_await as_result(start_services(role));
    if (started) co_return;
    Shield shield;
    while (services_.size() > before) co_await stop_last_service();
    throw Error(started.error());
}

Task<> Host::stop_last_service() {
    Record& record = *services_.back();
    co_await stop(record);
    for (const auto& method : record.type.methods)
        if (Record** at = service_by_method_.find(method.id); at && *at == &record)
            service_by_method_.erase(method.id);
    services_.pop_back();
}

Task<> Host::stop_services() {
    while (!services_.empty()) co_await stop_last_service();
}

Record* Host::find_service(std::string_view name) const {
    for (const auto& record : services_)
        if (record->type.name == name) return record.get();
    return nullptr;
}

Task<> Host::destroy_all() {
    ending_ = true;
    std::vector<Join<>> running;
    for (const EntityId id : ids({})) running.push_back(go(destroy(id)));
    for (auto& job : running) co_await job;
    while (entities_.size() > 0) co_await yield();  // those already on their way
}

void Host::dispatch(const rpc::IncomingCall& call, rpc::Responder respond) {
    if (call.entity == 0) {
        Record* const* found = service_by_method_.find(call.method.id);
        if (!found) {
            respond(Error(errc::unknown_method, "no service of " + node_.name + " has " +
                                                    std::string(call.method.text)));
            return;
        }
        deliver(**found, call, std::move(respond));
        return;
    }
    if (Record* record = find(call.entity)) {
        deliver(*record, call, std::move(respond));
        return;
    }
    dispatch_absent(call, std::move(respond));
}

void Host::dispatch_absent(const rpc::IncomingCall& call, rpc::Responder respond) {
    Types stored;
    if (const auto found = types_by_method_.find(call.method.id); found != types_by_method_.end())
        for (const TypeTable* one : found->second)
            if (one->stored) stored.push_back(one);
    const auto there = elsewhere && !call.forwarded
                           ? elsewhere(call.entity, type_of_method(call.method.id))
                           : std::nullopt;
    if (there && respond.wanted()) {
        respond(rpc::moved_error(call.entity, *there));
        return;
    }
    if (there && !call.caller.is_client()) {  // nobody hears that it moved: it is passed on, once
        ContextGuard guard(&node_.scope->context());
        at(*there).service<Fanout>().notify<&Fanout::pass_on>(
            std::string(call.method.text), Bytes(call.arguments.begin(), call.arguments.end()), call.entity);
        return;
    }
    // A client reaches its own avatar only, so it cannot make us load what it names.
    const bool may = !call.caller.is_client() || call.caller.entity == call.entity;
    if (keeper_ && !ending_ && !stored.empty() && may) {
        (void)go(*node_.scope,
                 deliver_later(call.entity, std::move(stored), std::string(call.method.text), call,
                               Bytes(call.arguments.begin(), call.arguments.end()),
                               std::move(respond)));
        return;
    }
    respond(Error(errc::entity_gone, "entity " + std::to_string(call.entity) + " is not on " +
                                         node_.name));
}

namespace {
Error why_gone(const Record& record) {
    return Error(errc::entity_gone, record.scope.name() + (record.failed ? " did not start: " + std::string(record.failed->what())
                                                                         : " is stopping"));
}
}  // namespace

void Host::deliver(Record& record, const rpc::IncomingCall& call, rpc::Responder respond) {
    if (record.stopping) {
        respond(why_gone(record));
        return;
    }
    if (record.hosted.barred) [[unlikely]] {
        // What its own methods in progress call may run: they end sooner.
        const auto* from = current ? static_cast<const Record*>(current->object) : nullptr;
        if (!from || !from->hosted.barred) return hold(record, call, std::move(respond));
    }
    const HostedType::Slot* slot = record.hosted.methods.find(call.method.id);
    if (!slot) {
        respond(Error(errc::unknown_method,
                      std::string(record.type.name) + " has no " + std::string(call.method.text)));
        return;
    }
    if (!record.started.is_set()) {
        (void)go(record.scope,
                 deliver_later(call.entity, {}, std::string(call.method.text), call,
                               Bytes(call.arguments.begin(), call.arguments.end()),
                               std::move(respond)));
        return;
    }
    void* object = slot->access ? slot->access(record.object) : record.object;
    rpc::LimitState* limit = nullptr;
    if (slot->limit) {
        if (record.limits.size() < slot->limit) record.limits.resize(slot->limit);
        auto& state = record.limits[slot->limit - 1];
        if (!state) state = std::make_unique<rpc::LimitState>();
        limit = state.get();
    }
    rpc::run_call({.object = object,
                   .method = slot->method,
                   .scope = &record.scope,
                   .queue = &record.serial,
                   .entity = record.id,
                   .context = &record.scope.context(),
                   .stats = slot->stats,
                   .limit = limit},
                  call, std::move(respond));
}

Task<> Host::deliver_later(EntityId entity, Types types, std::string method_text,
                           rpc::IncomingCall call, Bytes arguments, rpc::Responder respond) {
    call.arguments = arguments;
    call.method.text = method_text;
    if (!types.empty()) {
        // A component's method does not say of which entity: the one that has a document.
        std::optional<Error> failure;
        for (const TypeTable* type : types) {
            const auto loaded = co_await as_result(keeper_->activate(entity, *type));
            if (loaded) failure.reset();
            else failure = loaded.error();
            if (loaded || !failure->is(errc::entity_gone)) break;
        }
        if (failure) {
            respond(*failure);
            co_return;
        }
    }
    Record* record = entity ? find(entity) : static_cast<Record*>(current->object);
    bool ended = !record;
    if (record) {
        auto started = [](Record* r) -> Task<> { co_await r->started.wait(); };
        ended = !co_await as_result(started(record));
        record = entity ? find(entity) : record;
    }
    if (record && !ended) deliver(*record, call, std::move(respond));
    else if (record && record->stopping) respond(why_gone(*record));
    else respond(Error(errc::entity_gone, "entity " + std::to_string(entity) + " is gone"));
}

void Host::run_method(Record& record, std::uint64_t method, rpc::Responder respond) {
    static constexpr std::uint8_t no_arguments[] = {0x90};
    rpc::IncomingCall call;
    call.entity = record.id;
    call.arguments = no_arguments;
    const HostedType::Slot* slot = record.hosted.methods.find(method);
    GYRE_ASSERT(slot, "a timer names a method of its own entity");
    call.method = {slot->method->id, slot->method->full_name};
    deliver(record, call, std::move(respond));
}

}  // namespace gyre::world
