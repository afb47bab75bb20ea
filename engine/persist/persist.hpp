#pragma once
#include <gyre/store/documents.hpp>
#include <gyre/world/entity.hpp>
#include <map>

namespace gyre::persistence {

struct PersistConfig {
    Duration autosave = 5s;        ///< What a crash may lose; zero for what was save_now()ed.
    Duration yield_limit = 2s;     ///< How long the present owner may take to give one up.
    /// Autosave looks at unmarked entities too; one that changed is saved, and the field that was
    /// written past its mark is logged. The default: in builds without optimization or with a sanitizer.
    bool check_marks = check_marks_by_default();
    static bool check_marks_by_default();
};

/// How to reach the node that owns a document.
class Owners {
public:
    virtual ~Owners() = default;
    /// It holds a lease of the registry: it may still write. Error: unavailable, nobody knows.
    virtual Task<bool> alive(store::Owner owner) = 0;
    /// This node, as the registry knows it now; nothing while it holds no lease: then it keeps
    /// what it has and claims nothing new.
    virtual std::optional<store::Owner> self() = 0;
    /// Its address; nothing when it is not known.
    virtual std::optional<io::Endpoint> address(const store::Owner& owner) = 0;
};

/// Loads, saves and gives up the stored entities of one node. A document is a map from the name
/// of the entity type and of each component to its persist fields; the collection is the type's
/// name, the key the id in decimal.
class Persist final : public world::Keeper {
public:
    Persist(world::Host& host, store::Documents& documents, Owners& owners,
            PersistConfig config);
    ~Persist() override;

    /// Loads an entity that exists. Error: entity_gone, when no document has its id; fenced, when
    /// a living owner does not give it up; unavailable.
    Task<> activate(EntityId id, const world::TypeTable& type) override;
    /// The same, but creates it when missing; `init` runs on a new one only.
    Task<> load_or_create(EntityId id, const world::TypeTable& type,
                          std::function<void(void* entity)> init);
    /// Acknowledged: the database has what the entity was when called.
    /// Error: fenced: another node owns it now; this one is dropped unsaved.
    Task<> save(world::Record& record);
    Task<> stopped(world::Record& record) override;
    /// For the node that wants it: saves and drops it here. True: it is nobody's now.
    Task<bool> yield(EntityId id);
    void start_autosave(Scope& scope);
    /// This node has registered anew: others may own by now what it holds. Each is claimed again,
    /// or dropped unsaved when another has it; load() waits until that is known.
    void doubt();

    void set_check_marks(bool check) { config_.check_marks = check; }
    std::uint64_t saves() const { return saves_; }
    std::uint64_t fenced() const { return fenced_; }
    std::uint64_t compared() const { return compared_; }  ///< Encoded to see whether they changed.

private:
    struct State;
    struct Loading;
    Task<> load(EntityId id, const world::TypeTable& type, bool create,
                std::function<void(void*)> init);
    Task<store::Document> claim(const world::TypeTable& type, std::string key, EntityId id,
                                bool create, const std::function<void(void*)>& init);
    Task<> autosave();
    Task<> save_marked(world::Record* record);
    void check_mark(world::Record& record);
    Task<> reclaim();
    Task<> claim_again(std::shared_ptr<State> state, std::string collection, EntityId id,
                       store::Owner me);
    void fence(State& state, const std::string& collection, EntityId id, const Error& why);
    static Bytes capture(const world::Record& record);
    static Result<> restore(const world::TypeTable& type, void* entity, BytesView document);

    world::Host& host_;
    store::Documents& documents_;
    Owners& owners_;
    PersistConfig config_;
    std::map<EntityId, std::shared_ptr<Loading>> loading_;
    std::uint64_t saves_ = 0, fenced_ = 0, compared_ = 0;
    bool reclaiming_ = false;
};


}  // namespace gyre::persistence
