#pragma once
#include <functional>
#include <gyre/base/id_map.hpp>
#include <gyre/io/io.hpp>
#include <gyre/world/changes.hpp>
#include <gyre/world/ticks.hpp>
#include <gyre/world/timers.hpp>
#include <gyre/world/type_table.hpp>
#include <map>
#include <string>
#include <unordered_map>

namespace gyre::world {

class Host;
struct Record;

/// A type on one node: the functions of the build that runs here. It stays where it is while builds
/// come and go, and owns its names, so a reference to its table is good for ever.
struct HostedType {
    struct Slot {
        void* (*access)(void* entity) = nullptr;  ///< Null: the object itself.
        const rpc::MethodEntry* method = nullptr;
        rpc::MethodStats* stats = nullptr;  ///< Of all types that have the component.
        std::size_t limit = 0;              ///< Of a limited method: its index + 1.
    };
    HostedType() = default;
    HostedType(const HostedType&) = delete;
    /// From now on the functions are those of `from`, which lives as long as its module is loaded.
    void take(const TypeTable& from);

    TypeTable table{};
    const TypeTable* source = nullptr;  ///< In the module.
    std::string module;                 ///< That brought it; empty: the engine.
    IdMap<Slot> methods;
    std::vector<std::uint64_t> limited;  ///< Methods; a place is never given again.
    mutable std::vector<Record*> objects;  ///< Alive on the node; in an order that operations make, not addresses.
    bool barred = false;                 ///< Calls wait: its objects are being carried over.

private:
    struct Named {
        std::string name, role;
        TypeTable table{};
        void take(const TypeTable& from);
    };
    Named self_;
    std::vector<std::unique_ptr<Named>> component_tables_;
    std::vector<ComponentEntry> components_;
};

/// What an entity leaves by itself when it ends.
class Membership {
public:
    virtual ~Membership() = default;
    virtual void entity_ended(EntityId id) = 0;
};

/// Who looks for entities that may have changed; each has a mark of its own.
enum class MarkFor : std::uint8_t { save = 1, sync = 2 };

/// What the engine keeps beside an entity or service; ends with it.
class Attachment {
public:
    virtual ~Attachment() = default;
};

/// One living entity or service: engine memory around the game's object.
struct Record {
    Record(Host& host, EntityId id, const HostedType& hosted);
    ~Record();
    void list();  ///< As one of its type's objects, until it ends.
    Host& host;
    const EntityId id;  ///< 0: a service.
    const HostedType& hosted;
    const TypeTable& type;
    void* object = nullptr;
    Scope scope;
    Timers timers;
    Ticks ticks;
    Mutex serial;
    Event started;
    std::vector<std::weak_ptr<Membership>> groups;  ///< It leaves them when it ends.
    std::shared_ptr<Event> ended = std::make_shared<Event>();  ///< Set when it is no more.
    bool stopping = false;
    /// Set while a task of its scope runs, by find_local(), and by mark(): who writes to an entity
    /// otherwise marks it. What is not marked is as it was.
    std::uint8_t marks = 0xff;
    void mark() { marks = 0xff; }
    bool marked(MarkFor who) const { return marks & static_cast<std::uint8_t>(who); }
    /// Marked since the last time? Take it before looking.
    bool take_mark(MarkFor who) {
        const bool was = marked(who);
        marks &= static_cast<std::uint8_t>(~static_cast<unsigned>(who));
        return was;
    }
    std::optional<Error> failed;  ///< Of on_start: then it ends at once, without on_stop.
    std::vector<std::unique_ptr<rpc::LimitState>> limits;  ///< Made by the first call of each.
    struct RunningResident {
        std::string_view type;  ///< The host's.
        std::string name;
        Join<> job;
    };
    std::vector<RunningResident> residents;
    std::size_t place = ~std::size_t{0};  ///< In the list of its type.
    std::shared_ptr<void> storage;  ///< What the persistence layer keeps with it.
    std::vector<std::unique_ptr<Attachment>> attachments;
};

/// What activates a stored entity that is called but not loaded, and saves it when it stops.
class Keeper {
public:
    virtual ~Keeper() = default;
    /// Loads it into the host. Errors: entity_gone, fenced, unavailable.
    virtual Task<> activate(EntityId id, const TypeTable& type) = 0;
    /// Between on_stop and the destructors.
    virtual Task<> stopped(Record& record) = 0;
};

/// Entities and services of one node; answers the calls to them.
class Host final : public rpc::Target {
public:
    /// wall_now: for timers at a time of day, which are not armed without it.
    Host(Executor& executor, NodeIdentity& node, std::function<std::uint64_t()> random,
         std::function<WallTime()> wall_now = {});
    ~Host() override;

    /// Types a module brings. A name twice: Error conflict.
    Result<> add_types(std::span<const TypeTable* const> types, std::string_view module = {});
    const TypeTable* find_type(std::string_view name) const;
    std::vector<const TypeTable*> types() const;
    const HostedType& hosted(const TypeTable& type) const;  ///< Of one that was added.
    /// An entity type that has the method, itself or in a component; empty: none has.
    std::string_view type_of_method(std::uint64_t method) const;

    /// What an on_stop may take; then it is cancelled.
    static constexpr Duration stop_limit = 5s;
    /// Constructs, calls `init`, then on_start of entity and components as its first task. Does
    /// that fail, the entity ends, and who waits for it hears why: entity_gone.
    /// id 0: a new random one.
    Record& create(const TypeTable& type, EntityId id = 0,
                   const std::function<void(void* object)>& init = {});
    /// Refuses calls, cancels and joins its tasks, on_stop, keeper, memory. Await it from
    /// outside of the entity, or retire() it.
    /// One that is ending already: returns at once.
    Task<> destroy(EntityId id);
    void retire(EntityId id);  ///< destroy() as a task of the node.
    Task<> gone(EntityId id);  ///< Waits until it is no more.
    Record* find(EntityId id) const;
    std::size_t entities() const { return entities_.size(); }
    std::vector<EntityId> ids(std::string_view type) const;  ///< Ascending.
    /// visit(Record&) for those that may have changed since the last time, by ascending id; takes
    /// their marks.
    void each_marked(MarkFor who, const std::function<void(Record&)>& visit);

    /// What would change if the types of `module` were these. Errors are told in it.
    Changes compare(std::string_view module, std::span<const TypeTable* const> types) const;
    /// New functions for objects that stay as and where they are. At the bottom of a loop turn: in
    /// an engine's task that has just been resumed by the loop. The former build stays loaded for
    /// as long as its frames and closures are.
    /// Calls on_before_reload and on_after_reload, has residents start anew. All or nothing:
    /// Errors: conflict (a layout changed), refused (names why), what a hook throws.
    Result<> swap(std::string_view module, std::span<const TypeTable* const> types);
    /// The same where layouts changed: calls wait, methods in progress end, or are cancelled
    /// after `patience` (their callers hear `reloading`); then every object whose type changed is
    /// read into a new one by the names of its fields. All or nothing.
    /// Errors: bad_data (names the field that cannot be read), timed_out (a task does not end),
    /// refused, what a hook throws.
    Task<CarryReport> carry_over(std::string module, std::span<const TypeTable* const> types, Duration patience);
    /// Creates the services of a role that are not there yet and waits for their on_start.
    Task<> start_services(std::string_view role);
    /// The same after a swap that brought services: does one fail, those are ended, and it throws.
    Task<> start_added_services(std::string role);
    /// Calls on_config_changed() of all that have it, now: the configuration has been read again.
    /// What one throws is logged, the others are called.
    void tell_config_changed();
    Task<> stop_services();  ///< In reverse order of their start.
    Record* find_service(std::string_view name) const;
    /// Destroys every entity; each is saved. From now on calls load none.
    Task<> destroy_all();

    /// For ticks added from now on.
    void set_tick_meter(TickMeter meter) { tick_meter_ = std::move(meter); }
    const TickMeter& tick_meter() const { return tick_meter_; }
    void set_keeper(Keeper* keeper) { keeper_ = keeper; }
    /// For a call to an entity that is not here, of one of these types: the node that has it or
    /// knows more; nullopt: it is nowhere else.
    std::function<std::optional<io::Endpoint>(EntityId, std::string_view type)> elsewhere;
    /// An entity has come to be (true) or is no more, on this node.
    std::function<void(EntityId, const TypeTable&, bool)> on_presence;
    Executor& executor() const { return executor_; }
    NodeIdentity& node() const { return node_; }

    void dispatch(const rpc::IncomingCall& call, rpc::Responder respond) override;
    bool owns(EntityId id) const override { return entities_.contains(id); }
    /// Without arguments: timers and hooks.
    void run_method(Record& record, std::uint64_t method, rpc::Responder respond = {});
    TimerTable& timer_table() const { return *timer_table_; }
    /// By "Type.method", of every type that was added.
    const std::map<std::string, rpc::MethodStats, std::less<>>& method_stats() const { return stats_; }

private:
    void deliver(Record& record, const rpc::IncomingCall& call, rpc::Responder respond);
    using Types = std::vector<const TypeTable*>;
    void dispatch_absent(const rpc::IncomingCall& call, rpc::Responder respond);
    Task<> deliver_later(EntityId entity, Types types, std::string method_text,
                         rpc::IncomingCall call, Bytes arguments, rpc::Responder respond);
    Task<> start(Record& record);
    Task<> stop(Record& record);
    Task<> stop_last_service();
    class Exchange;
    class Carriage;
    struct Held {
        EntityId entity;
        std::string service;
        rpc::IncomingCall call;
        std::string text;
        Bytes arguments;
        rpc::Responder respond;
    };
    void hold(const Record& record, const rpc::IncomingCall& call, rpc::Responder respond);
    void release_held();
    void fill_slots(HostedType& hosted);
    void index_methods();
    void start_residents(Record& record);
    void restart_residents(const std::vector<Record*>& records);
    Task<> restart_residents(std::vector<EntityId> entities, std::vector<std::string> services);

    Executor& executor_;
    NodeIdentity& node_;
    std::function<std::uint64_t()> random_;
    std::map<std::string, HostedType, std::less<>> types_;
    std::map<std::string, rpc::MethodStats, std::less<>> stats_;
    std::unordered_map<std::uint64_t, Types> types_by_method_;  // of entities
    IdMap<Record*> service_by_method_;
    std::unique_ptr<TimerTable> timer_table_;
    IdMap<std::unique_ptr<Record>> entities_;
    std::vector<std::unique_ptr<Record>> services_;
    Keeper* keeper_ = nullptr;
    TickMeter tick_meter_;
    std::vector<Held> held_;  // calls at the barrier, in order
    std::vector<std::map<std::string, HostedType, std::less<>>::node_type> removed_types_;
    bool ending_ = false;  // loads nothing more
};

}  // namespace gyre::world
