#pragma once
#include <gyre/rpc/fan_out.hpp>
#include <gyre/world/entity.hpp>

namespace gyre {

namespace world {
/// The part of a group that knows no type. Members ascend by id.
class GroupCore final : public Membership, public std::enable_shared_from_this<GroupCore> {
public:
    using Answers = std::vector<std::pair<EntityId, Result<Bytes>>>;
    explicit GroupCore(std::string_view type) : type_(type) {}
    /// Groups outlive the module that asks for one: it is all code of the engine.
    static std::shared_ptr<GroupCore> make(std::string_view type);
    void encode(Writer& writer, Duration limit) const;
    bool decode(Reader& reader, Duration& limit);
    bool add(EntityId id);
    bool remove(EntityId id);
    bool contains(EntityId id) const;
    std::vector<EntityId> ids() const;
    std::size_t size() const { return members_.size(); }
    std::vector<EntityId> take_left() { return std::exchange(left_, {}); }
    void notify(rpc::MethodName method, Bytes arguments);
    Task<Answers> call(rpc::MethodName method, Bytes arguments, Duration limit);
    void entity_ended(EntityId id) override;

private:
    struct Member {
        EntityId id = 0;
        io::Endpoint at{"", 0};    // where it is sent to; port 0: to be found
        std::uint32_t underway = 0;  // of these, nobody has said yet whether it was there
    };
    struct Parcel {
        std::string method;
        Bytes arguments;
    };
    Member* find(EntityId id);
    void watch(EntityId id);  ///< Hears when it ends, if it lives here.
    void leave(EntityId id);
    void send(const io::Endpoint& to, std::shared_ptr<const Parcel> parcel, std::vector<EntityId> ids,
              bool again);
    Task<> deliver(io::Endpoint to, std::shared_ptr<const Parcel> parcel, std::vector<EntityId> ids,
                   bool again);
    static Task<Answers> collect(std::shared_ptr<GroupCore> self, std::vector<EntityId> ids,
                                 std::vector<Task<Bytes>> calls);

    std::string type_;
    std::vector<Member> members_;
    std::vector<EntityId> left_;
    std::size_t underway_ = 0;
};
}  // namespace world

/// Entities that hear the same: here or on any node. Arguments are encoded once, and one frame
/// goes to each node. A member that ends, unloads or moves away leaves by itself; one that moves
/// is brought back by its own on_start. Use in tasks of its node. A copy is the same group; one
/// that was stored or carried over is another with the same members.
/// Cost: O(members) a message.
template <class E>
class Group {
public:
    /// What one member answered.
    template <class R>
    struct Answer {
        Id<E> from;
        Result<R> result;
    };

    Group() : core_(world::GroupCore::make(description<E>.name)) {}
    bool add(Id<E> id) { return core_->add(id.value); }        ///< False: it is one already.
    bool remove(Id<E> id) { return core_->remove(id.value); }  ///< False: it is none.
    bool contains(Id<E> id) const { return core_->contains(id.value); }
    std::size_t size() const { return core_->size(); }
    std::vector<Id<E>> members() const { return typed(core_->ids()); }  ///< By id.
    /// Who has left by itself since this was last asked.
    std::vector<Id<E>> take_left() { return typed(core_->take_left()); }

    /// One way, in order for each member. Dropped and logged where a node does not keep up.
    template <auto M, class... A>
    void notify(A&&... arguments) const {
        core_->notify(rpc::method_name<M>, encoded<M>(std::forward<A>(arguments)...));
    }
    /// Every member at once; ends when all have ended. Who answers `entity_gone` is no member any
    /// more.
    template <auto M, class... A>
    Task<std::vector<Answer<typename signature<M>::Result>>> call(A&&... arguments) const {
        return read<M>(core_->call(rpc::method_name<M>, encoded<M>(std::forward<A>(arguments)...), limit_));
    }
    /// Another time-out than the node's default.
    Group within(Duration limit) const {
        Group other = *this;
        other.limit_ = limit;
        return other;
    }

private:
    friend struct Codec<Group>;
    template <auto M, class... A>
    static Bytes encoded(A&&... arguments) {
        using S = signature<M>;
        static_assert(Remote<E>::template reaches<typename S::Class>,
                      "gyre: this entity has no such component: add it to Entity<...>");
        static_assert(S::arity == sizeof...(A), "gyre: not as many arguments as the method has parameters");
        return rpc::detail::encode_arguments<M>(typename S::Parameters{std::forward<A>(arguments)...});
    }
    template <auto M, class R = typename signature<M>::Result>
    static Task<std::vector<Answer<R>>> read(Task<world::GroupCore::Answers> answers) {
        std::vector<Answer<R>> out;
        for (auto& [id, bytes] : co_await std::move(answers))
            out.push_back({Id<E>{id}, rpc::read_result<R>(bytes, rpc::detail::full_name<M>)});
        co_return out;
    }
    static std::vector<Id<E>> typed(const std::vector<EntityId>& ids) {
        std::vector<Id<E>> out;
        for (const EntityId id : ids) out.push_back({id});
        return out;
    }
    std::shared_ptr<world::GroupCore> core_;
    Duration limit_{};
};

/// [members, who has left and was not yet asked for, time-out]
template <class E>
struct Codec<Group<E>> {
    static void encode(Writer& w, const Group<E>& group) { group.core_->encode(w, group.limit_); }
    static bool decode(Reader& r, Group<E>& group) {
        group.core_ = world::GroupCore::make(description<E>.name);
        return group.core_->decode(r, group.limit_);
    }
};
namespace detail {
template <class E>
struct LayoutOf<Group<E>> {
    static std::uint64_t hash(const TypesSeen*) { return mix(fnv1a("gyre::Group") ^ type_id<E>); }
};
template <class E>
inline constexpr bool may_hold_code<Group<E>> = false;
}  // namespace detail

}  // namespace gyre
