#include <gyre/codec/fields.hpp>
#include <gyre/log/log.hpp>
#include <gyre/trace/failed.hpp>
#include <gyre/task/compose.hpp>
#include <gyre/world/detail/timer_table.hpp>
#include <gyre/world/host.hpp>

#include <algorithm>
#include <map>

namespace gyre::world {
namespace {

constexpr std::size_t held_max = 100'000;
constexpr std::size_t residents_a_turn = 256;

using Details = std::vector<std::string>;

std::string of(std::string_view type, std::string_view member) {
    return std::string(type) + "." + std::string(member);
}

/// Whether an object of `before` may be used as one of `after` is; else why not. What the hash says is not
/// taken on trust: every field is looked at.
bool same_fields(const TypeTable& before, const TypeTable& after, Details& details) {
    const std::size_t told = details.size();
    std::map<std::string_view, const FieldEntry*> old;
    for (const auto& field : before.fields) old.emplace(field.name, &field);
    for (const auto& field : after.fields) {
        const auto found = old.find(field.name);
        if (found == old.end()) {
            details.push_back("added field " + of(after.name, field.name) + ": " + std::string(field.type));
            continue;
        }
        const FieldEntry& was = *found->second;
        old.erase(found);
        if (was.layout() != field.layout() || was.size != field.size || was.align != field.align)
            details.push_back("changed field " + of(after.name, field.name) + ": " + std::string(was.type) +
                              (was.type == field.type ? " changed within" : " -> " + std::string(field.type)));
        else if (was.offset() != field.offset())
            details.push_back("moved field " + of(after.name, field.name) + ": offset " +
                              std::to_string(was.offset()) + " -> " + std::to_string(field.offset()));
    }
    for (const auto& [name, field] : old)
        details.push_back("removed field " + of(after.name, name) + ": " + std::string(field->type));
    if (details.size() == told && (before.size != after.size || before.align != after.align))
        details.push_back(std::string(after.name) + ": " + std::to_string(before.size) + " -> " +
                          std::to_string(after.size) + " bytes");
    if (details.size() == told && before.layout_hash() != after.layout_hash())
        details.push_back(std::string(after.name) + ": its layout hash changed");
    return details.size() == told;
}

bool same_layout(const TypeTable& before, const TypeTable& after, Details& details) {
    bool same = same_fields(before, after, details);
    std::map<std::string_view, const ComponentEntry*> old;
    for (const auto& component : before.components) old.emplace(component.type->name, &component);
    for (const auto& component : after.components) {
        const auto found = old.find(component.type->name);
        if (found == old.end()) {
            details.push_back("added component " + std::string(component.type->name));
            same = false;
            continue;
        }
        same &= same_fields(*found->second->type, *component.type, details);
        if (same && found->second->offset() != component.offset()) {
            details.push_back("moved component " + std::string(component.type->name));
            same = false;
        }
        old.erase(found);
    }
    for (const auto& [name, component] : old) {
        details.push_back("removed component " + std::string(name));
        same = false;
    }
    if (before.stored != after.stored)
        details.push_back(std::string(after.name) + (after.stored ? " is stored from now on" : " is stored no more"));
    return same;
}

template <class F>
void each_part(const TypeTable& type, F&& f) {
    f(type);
    for (const auto& component : type.components) f(*component.type);
}

std::map<std::uint64_t, std::string_view> methods_of(const TypeTable& type) {
    std::map<std::uint64_t, std::string_view> all;
    each_part(type, [&](const TypeTable& part) {
        for (const auto& method : part.methods) all.emplace(method.id, method.full_name);
    });
    return all;
}

bool same_methods(const TypeTable& before, const TypeTable& after, Details& details) {
    const std::size_t told = details.size();
    const auto old = methods_of(before), now = methods_of(after);
    for (const auto& [id, name] : now)
        if (!old.contains(id)) details.push_back("added method " + std::string(name));
    for (const auto& [id, name] : old)
        if (!now.contains(id)) details.push_back("removed method " + std::string(name));
    std::vector<std::string> residents[2];
    for (int i = 0; i < 2; ++i)
        each_part(i ? after : before, [&](const TypeTable& part) {
            for (const auto& resident : part.residents) residents[i].push_back(of(part.name, resident.name));
        });
    for (const auto& name : residents[1])
        if (!std::ranges::count(residents[0], name)) details.push_back("added resident " + name);
    for (const auto& name : residents[0])
        if (!std::ranges::count(residents[1], name)) details.push_back("removed resident " + name);
    return details.size() == told;
}

bool has_residents(const TypeTable& type) {
    bool any = false;
    each_part(type, [&](const TypeTable& part) { any |= !part.residents.empty(); });
    return any;
}
/// Something of its build has to be told of a swap for each object.
bool is_told(const TypeTable& type) {
    bool any = false;
    each_part(type, [&](const TypeTable& part) {
        any |= part.before_reload || part.after_reload;
        for (const auto& field : part.fields) any |= field.adopt && field.adopt(nullptr);
    });
    return any;
}
template <class F>
void each_object(const TypeTable& type, void* object, F&& f) {
    f(type, object);
    for (const auto& component : type.components) f(*component.type, component.access(object));
}
void before_reload(Record& record) {
    ContextGuard guard(&record.scope.context());
    each_object(record.type, record.object, [](const TypeTable& part, void* object) {
        if (part.before_reload) part.before_reload(object);
    });
}
void adopt(Record& record) {
    ContextGuard guard(&record.scope.context());
    each_object(record.type, record.object, [](const TypeTable& part, void* object) {
        for (const auto& field : part.fields)
            if (field.adopt) (void)field.adopt(object);
    });
}
void after_reload(Record& record) {
    ContextGuard guard(&record.scope.context());
    each_object(record.type, record.object, [](const TypeTable& part, void* object) {
        if (part.after_reload) part.after_reload(object);
    });
}

void encode_object(Writer& writer, const TypeTable& type, const void* object) {
    writer.map(1 + type.components.size());
    each_object(type, const_cast<void*>(object), [&](const TypeTable& part, const void* o) {
        writer.text(part.name);
        encode_fields(writer, o, part.fields, all_fields);
    });
}
Result<> decode_object(BytesView bytes, const TypeTable& type, void* object) {
    Reader reader(bytes, {.depth = 64, .nodes = ~std::uint64_t{0} >> 1, .bytes = ~std::uint64_t{0} >> 1});
    std::size_t parts = 0;
    if (!reader.map(parts)) return reader.error(type.name);
    for (; parts != 0; --parts) {
        std::string_view name;
        if (!reader.text(name)) return reader.error(type.name);
        const TypeTable* part = name == type.name ? &type : nullptr;
        void* of = object;
        for (const auto& component : type.components)
            if (!part && component.type->name == name) part = component.type, of = component.access(object);
        if (!part) {
            if (!reader.skip()) return reader.error(type.name);
        } else if (!read_fields(reader, of, part->fields, all_fields, part->migrate)) {
            return reader.error(name);
        }
    }
    return reader.finish() ? Result<>() : reader.error(type.name);
}

Task<> run_resident(Record* record, Task<> body, std::string name) {
    std::optional<Error> failure;
    try {
        co_await std::move(body);
    } catch (...) {
        failure = to_error(std::current_exception());
        if (!failure->is(errc::cancelled))
            trace::failed("world.resident_failed", std::current_exception(), {{"resident", name}, {"owner", record->scope.name()}});
    }
    if (!failure) co_return;
    throw Error(errc::cancelled, failure->message());
}

}  // namespace

Changes Host::compare(std::string_view module, std::span<const TypeTable* const> types) const {
    Changes changes;
    std::map<std::string_view, const TypeTable*> now;
    for (const TypeTable* type : types)
        if (!now.emplace(type->name, type).second)
            changes.refused.push_back("it describes two types \"" + std::string(type->name) + "\"");
    for (const auto& [name, hosted] : types_) {
        if (hosted.module != module || now.contains(name)) continue;
        changes.types.push_back({name, Change::removed, {}, hosted.objects.size()});
        if (!hosted.objects.empty())
            changes.refused.push_back("type " + name + " is gone, but " + std::to_string(hosted.objects.size()) + " are alive");
    }
    for (const auto& [name, after] : now) {
        const auto found = types_.find(name);
        TypeChange change{std::string(name), Change::added, {}, 0};
        if (found != types_.end()) {
            const HostedType& hosted = found->second;
            change.objects = hosted.objects.size();
            if (hosted.module != module) {
                changes.refused.push_back("type " + std::string(name) + " is that of " +
                                          (hosted.module.empty() ? "the engine" : "module " + hosted.module));
                continue;
            }
            if (hosted.table.kind != after->kind || hosted.table.role != after->role)
                changes.refused.push_back("type " + std::string(name) + ": what it is (entity, service), or its role, "
                                          "changed: that needs another node");
            change.change = Change::none;
            if (!same_methods(*hosted.source, *after, change.details)) change.change = Change::methods;
            if (!same_layout(*hosted.source, *after, change.details)) change.change = Change::layout;
        }
        changes.types.push_back(std::move(change));
    }
    std::ranges::sort(changes.types, {}, &TypeChange::type);
    return changes;
}

/// One build for another in one node, and back again.
class Host::Exchange {
public:
    Exchange(Host& host, std::string_view module, std::span<const TypeTable* const> types)
        : host_(host), module_(module), types_(types) {
        for (auto& [name, hosted] : host.types_)
            if (hosted.module == module) before_.push_back(hosted.source);
    }
    const std::vector<const TypeTable*>& before() const { return before_; }

    /// Of these types, in the order in which they came and went: mostly that of their memory.
    std::vector<Record*> records(bool (*wanted)(const TypeTable&)) const {
        std::vector<const HostedType*> of;
        for (const auto& [name, hosted] : host_.types_)
            if (hosted.module == module_ && (wanted(*hosted.source) || wanted(*after(name)))) of.push_back(&hosted);
        return records(of);
    }
    std::vector<Record*> records(const std::vector<const HostedType*>& of) const {
        std::vector<Record*> found;
        for (const HostedType* hosted : of) found.insert(found.end(), hosted->objects.begin(), hosted->objects.end());
        return found;
    }
    void install(std::span<const TypeTable* const> types) {
        for (auto it = host_.types_.begin(); it != host_.types_.end();) {
            const auto type = it++;
            if (type->second.module != module_ || std::ranges::count(types, std::string_view(type->first), &TypeTable::name))
                continue;
            // Somebody may be about to load one.
            type->second.table.construct = [](void*) { throw Error(errc::not_found, "new code has no such type any more"); };
            host_.removed_types_.push_back(host_.types_.extract(type));
        }
        for (const TypeTable* type : types) {
            HostedType& hosted = host_.types_[std::string(type->name)];
            hosted.module = module_;
            hosted.take(*type);
            host_.fill_slots(hosted);
        }
        host_.index_methods();
    }
    /// What the new build does not have any more ends.
    void end_timers() {
        host_.timer_table_->each_method([&](const Record& record, std::uint64_t method, std::string_view key) {
            if (record.hosted.module != module_ || record.hosted.methods.contains(method)) return true;
            log::warn("world.timer_ended", {{"owner", record.scope.name()}, {"key", key}, {"reason", "its method is gone"}});
            return false;
        });
    }

private:
    const TypeTable* after(std::string_view name) const {
        const auto found = std::ranges::find_if(types_, [&](const auto* type) { return type->name == name; });
        static constexpr TypeTable none{};
        return found == types_.end() ? &none : *found;
    }
    Host& host_;
    std::string module_;
    std::span<const TypeTable* const> types_;
    std::vector<const TypeTable*> before_;
};

namespace {
Error refusal(std::string_view code, std::string_view module, const Details& details) {
    std::string text = "module " + std::string(module) + ": ";
    for (std::size_t i = 0; i < details.size(); ++i) text += (i ? "; " : "") + details[i];
    return Error(code, text);
}
Result<> fits(std::string_view module, const Changes& changes) {
    if (!changes.refused.empty()) return refusal(errc::refused, module, changes.refused);
    return {};
}
}  // namespace

Result<> Host::swap(std::string_view module, std::span<const TypeTable* const> types) {
    const Changes changes = compare(module, types);
    if (auto possible = fits(module, changes); !possible) return possible;
    if (changes.needs_carry_over()) {
        Details why;
        for (const auto& change : changes.types)
            if (change.change == Change::layout) why.insert(why.end(), change.details.begin(), change.details.end());
        return refusal(errc::conflict, module, why);
    }
    Exchange exchange(*this, module, types);
    const auto told = exchange.records(&is_told);
    std::size_t done = 0;
    try {
        for (Record* record : told) before_reload(*record);
        exchange.install(types);
        for (; done < told.size(); ++done) {
            adopt(*told[done]);
            after_reload(*told[done]);
        }
    } catch (...) {
        const Error error = to_error(std::current_exception());
        exchange.install(exchange.before());
        for (std::size_t i = 0; i < told.size(); ++i) {
            adopt(*told[i]);
            try {
                after_reload(*told[i]);
            } catch (...) {
                trace::failed("world.reload_hook_failed", std::current_exception(), {{"owner", told[i]->scope.name()}});
            }
        }
        return error;
    }
    exchange.end_timers();
    restart_residents(exchange.records(&has_residents));
    return {};
}

void Host::tell_config_changed() {
    for (const auto& [name, hosted] : types_) {
        bool told = false;
        each_part(hosted.table, [&told](const TypeTable& part) { told |= part.config_changed != nullptr; });
        if (!told) continue;
        const auto objects = hosted.objects;
        for (Record* record : objects) {
            if (record->stopping) continue;
            ContextGuard guard(&record->scope.context());
            record->mark();
            each_object(record->type, record->object, [record](const TypeTable& part, void* object) {
                if (!part.config_changed) return;
                try {
                    part.config_changed(object);
                } catch (...) {
                    trace::failed("world.config_hook_failed", std::current_exception(), {{"owner", record->scope.name()}});
                }
            });
        }
    }
}

void Host::restart_residents(const std::vector<Record*>& records) {
    std::vector<EntityId> entities;
    std::vector<std::string> services;
    for (const Record* record : records) {
        if (record->id) entities.push_back(record->id);
        else services.emplace_back(record->type.name);
    }
    if (!records.empty()) (void)go(*node_.scope, restart_residents(std::move(entities), std::move(services)));
}

void Host::start_residents(Record& record) {
    each_object(record.type, record.object, [&](const TypeTable& part, void* object) {
        for (const auto& resident : part.residents) {
            std::string name = of(part.name, resident.name);
            auto job = go(record.scope, run_resident(&record, resident.run(object), name));
            job.ignore_failure();
            record.residents.push_back({part.name, std::move(name), std::move(job)});
        }
    });
}

Task<> Host::restart_residents(std::vector<EntityId> entities, std::vector<std::string> services) {
    const auto at = [&](std::size_t i) {
        Record* record = i < entities.size() ? find(entities[i]) : find_service(services[i - entities.size()]);
        return record && !record->stopping && record->started.is_set() ? record : nullptr;
    };
    const std::size_t count = entities.size() + services.size();
    for (std::size_t first = 0; first < count; first += residents_a_turn) {
        const std::size_t end = std::min(count, first + residents_a_turn);
        for (std::size_t i = first; i < end; ++i)
            if (Record* record = at(i))
                for (auto& resident : record->residents) resident.job.cancel();
        const TimePoint patience = executor_.now() + stop_limit;
        bool told = false;
        for (std::size_t i = first; i < end;) {
            Record* record = at(i);
            const bool ended = !record || std::ranges::all_of(record->residents, [](auto& r) { return r.job.done(); });
            if (!ended) {
                co_await sleep(told ? Duration(100ms) : Duration(1ms));
                if (!told && executor_.now() > patience) {
                    told = true;
                    log::error("world.resident_does_not_end", {{"owner", record->scope.name()}});
                }
                continue;
            }
            ++i;
            if (!record) continue;
            record->residents.clear();
            ContextGuard guard(&record->scope.context());
            start_residents(*record);
        }
    }
}

void Host::hold(const Record& record, const rpc::IncomingCall& call, rpc::Responder respond) {
    if (held_.size() >= held_max) {
        respond(Error(errc::overloaded, std::string(record.type.name) + ": more than " + std::to_string(held_max) +
                                            " calls wait for new code"));
        return;
    }
    held_.push_back({record.id, record.id ? std::string() : std::string(record.type.name), call,
                     std::string(call.method.text), Bytes(call.arguments.begin(), call.arguments.end()),
                     std::move(respond)});
}

void Host::release_held() {
    for (Held& one : std::exchange(held_, {})) {
        one.call.arguments = one.arguments;
        one.call.method.text = one.text;
        if (one.call.deadline <= executor_.now()) {
            one.respond(Error(errc::timed_out, one.text + " waited for new code"));
        } else if (one.entity) {
            dispatch(one.call, std::move(one.respond));
        } else if (Record* record = find_service(one.service)) {
            deliver(*record, one.call, std::move(one.respond));
        } else {
            one.respond(Error(errc::unknown_method, one.text));
        }
    }
}

/// The objects of one module on their way to new types.
class Host::Carriage {
public:
    Carriage(Host& host, std::string module, std::span<const TypeTable* const> types, const Changes& changes)
        : host_(host), module_(std::move(module)), types_(types), exchange_(host, module_, types) {
        for (const auto& change : changes.types) {
            if (change.change != Change::layout) continue;
            HostedType& hosted = host.types_.find(change.type)->second;
            hosted.barred = true;
            changed_.push_back(&hosted);
        }
    }
    ~Carriage() {
        for (const Moved& one : moved_) discard(one);
        for (const HostedType* hosted : changed_) const_cast<HostedType*>(hosted)->barred = false;
        host_.release_held();
    }

    /// Error: timed_out.
    Task<> quiet(Duration patience) {
        for (const HostedType* hosted : changed_) {
            const TypeTable& type = hosted->table;
            if (!has_residents(type)) continue;
            for (Record* record : exchange_.records({hosted}))
                for (auto& resident : record->residents) resident.job.cancel();
        }
        for (Record* record : busy()) record->scope.cancel_tasks(why(*record), true);
        if (co_await quiet_before(host_.executor_.now() + patience)) co_return;
        for (Record* record : busy()) {
            report.cancelled += record->scope.running();
            record->scope.cancel_tasks(why(*record));
        }
        if (co_await quiet_before(host_.executor_.now() + stop_limit)) co_return;
        const auto left = busy();
        std::string text = left.empty() ? "a task" : left.front()->scope.name();
        text += " does not end";
        if (!left.empty()) text += ":\n" + left.front()->scope.describe_tasks();
        throw Error(errc::timed_out, text);
    }
    /// The new beside the old. Errors: bad_data, what the module throws.
    void build() {
        told_ = exchange_.records(&is_told);
        for (Record* record : told_) before_reload(*record);
        const auto all = exchange_.records(changed_);
        moved_.reserve(all.size());
        Writer writer(Form::names);
        for (Record* record : all) {
            writer.clear();
            encode_object(writer, record->type, record->object);
            report.bytes += writer.view().size();
            const TypeTable& type = **std::ranges::find(types_, record->type.name, &TypeTable::name);
            void* const fresh = ::operator new(type.size, std::align_val_t(type.align));
            ContextGuard guard(&record->scope.context());
            try {
                type.construct(fresh);
            } catch (...) {
                ::operator delete(fresh, std::align_val_t(type.align));
                throw;
            }
            moved_.push_back({record, &type, record->hosted.source, fresh});
            type.attach(fresh, *record);
            if (auto read = decode_object(writer.view(), type, fresh); !read)
                throw Error(read.error().code(), record->scope.name() + ": " + read.error().message());
        }
    }
    /// The old stay until the hooks of the new have ended.
    void exchange() {
        exchange_.install(types_);
        exchange_objects();
        exchanged_ = true;
        for (Record* record : told_) {
            if (!std::ranges::count(changed_, &record->hosted)) adopt(*record);
            after_reload(*record);
        }
        end_ticks();
        report.objects = moved_.size();
    }
    /// As it was before build().
    Task<> take_back() {
        if (exchanged_) {
            // The hooks of the new may have started tasks.
            for (const Moved& one : moved_)
                one.record->scope.cancel_tasks(Error(errc::reloading, "module " + module_ + " was taken back"));
            if (!co_await quiet_before(host_.executor_.now() + stop_limit))
                log::error("world.reload_task_does_not_end", {{"module", module_}});
            exchange_.install(exchange_.before());
            exchange_objects();
        }
        for (Record* record : told_) {
            if (exchanged_ && !std::ranges::count(changed_, &record->hosted)) adopt(*record);
            try {
                after_reload(*record);
            } catch (...) {
                trace::failed("world.reload_hook_failed", std::current_exception(), {{"owner", record->scope.name()}});
            }
        }
        end_ticks();
        exchanged_ = false;
    }
    void finish() {
        exchange_.end_timers();
        report.waited = host_.held_.size();
    }
    void restart_residents() { host_.restart_residents(exchange_.records(&has_residents)); }
    CarryReport report;

private:
    struct Moved {
        Record* record;
        const TypeTable* now;
        const TypeTable* before;
        void* other;  ///< The object that is not the record's.
    };
    void exchange_objects() {
        for (Moved& one : moved_) {
            one.record->ticks.detach();
            std::swap(one.record->object, one.other);
            std::swap(one.now, one.before);
            one.record->mark();
        }
    }
    void end_ticks() const {
        for (const Moved& one : moved_)
            for (const auto& name : one.record->ticks.end_detached())
                log::warn("world.tick_ended", {{"owner", one.record->scope.name()}, {"world", name},
                                               {"reason", "on_after_reload() does not add it again"}});
    }
    static void discard(const Moved& one) {
        ContextGuard guard(&one.record->scope.context());
        one.now->destroy(one.other);
        ::operator delete(one.other, std::align_val_t(one.now->align));
    }
    std::vector<Record*> busy() const {
        std::vector<Record*> found;
        for (const HostedType* hosted : changed_)
            for (Record* record : hosted->objects)
                if (is_busy(*record)) found.push_back(record);
        return found;
    }
    Error why(const Record& record) const {
        return Error(errc::reloading, record.scope.name() + ": module " + module_ + " was replaced; it may have run");
    }
    static bool is_busy(const Record& record) { return record.scope.running() != 0 || record.stopping; }
    Task<bool> quiet_before(TimePoint latest) {
        co_await yield();  // To the bottom of a turn: below it there may be methods that run.
        for (;;) {
            auto ids = std::vector<EntityId>();
            bool services = false;
            for (const Record* record : busy()) {
                if (record->id) ids.push_back(record->id);
                else services = true;
            }
            if (ids.empty() && !services) co_return true;
            do {
                if (host_.executor_.now() >= latest) co_return false;
                co_await sleep(1ms);
                std::erase_if(ids, [&](EntityId id) {
                    const Record* record = host_.find(id);
                    return !record || !is_busy(*record);
                });
            } while (!ids.empty());
        }
    }

    Host& host_;
    std::string module_;
    std::span<const TypeTable* const> types_;
    Exchange exchange_;
    std::vector<const HostedType*> changed_;
    std::vector<Record*> told_;
    std::vector<Moved> moved_;
    bool exchanged_ = false;
};

Task<CarryReport> Host::carry_over(std::string module, std::span<const TypeTable* const> types, Duration patience) {
    const Changes changes = compare(module, types);
    if (auto possible = fits(module, changes); !possible) throw Error(possible.error());
    std::optional<Error> failure;
    CarryReport report;
    std::optional<Carriage> carriage(std::in_place, *this, module, types, changes);
    Shield shield;  // half of it is worse than all or nothing
    try {
        co_await carriage->quiet(patience);
        carriage->build();
        carriage->exchange();
        carriage->finish();
    } catch (const Error& error) {
        failure = error;
    } catch (...) {
        trace::failed("world.carry_over_failed", std::current_exception());
        failure = to_error(std::current_exception());
    }
    if (failure) co_await carriage->take_back();
    carriage->restart_residents();
    report = carriage->report;
    carriage.reset();
    if (failure) throw Error(*failure);
    co_return report;
}

}  // namespace gyre::world
