#pragma once
#include <gyre/module/node.hpp>
#include <gyre/rpc/fan_out.hpp>

namespace gyre {

namespace module {
/// A node chosen for one call.
using Choose = std::optional<cluster::NodeInfo> (*)(std::string_view role, std::uint64_t key);
Task<Bytes> call_chosen(Choose choose, std::string_view role, std::uint64_t key,
                        rpc::MethodName method, Bytes arguments, Duration limit);
void notify_chosen(Choose choose, std::string_view role, std::uint64_t key, rpc::MethodName method,
                   BytesView arguments);
std::optional<cluster::NodeInfo> choose_any(std::string_view role, std::uint64_t);
std::optional<cluster::NodeInfo> choose_least_loaded(std::string_view role, std::uint64_t);
std::optional<cluster::NodeInfo> choose_hashed(std::string_view role, std::uint64_t key);

struct NodeAnswer {
    std::string node;
    Result<Bytes> result;
};
Task<std::vector<NodeAnswer>> call_all(std::string_view role, rpc::MethodName method, Bytes arguments,
                                       Duration limit);
void notify_all(std::string_view role, rpc::MethodName method, Bytes arguments);
void broadcast(std::string_view role, rpc::MethodName method, Bytes arguments);
std::size_t broadcast_here(rpc::MethodName method, const Bytes& arguments);

template <class S>
constexpr std::string_view role_of() {
    if constexpr (requires { S::role; }) return S::role;
    return {};
}
template <auto M, class... A>
Bytes encode_call(A&&... arguments) {
    using S = signature<M>;
    static_assert(S::arity == sizeof...(A), "gyre: not as many arguments as the method has parameters");
    return rpc::detail::encode_arguments<M>(typename S::Parameters{std::forward<A>(arguments)...});
}

/// One node of a role, chosen anew for each call; `role` outlives it.
template <class S>
class Chosen : public rpc::detail::Callable<Chosen<S>> {
public:
    Chosen(Choose choose, std::string_view role, std::uint64_t key)
        : choose_(choose), role_(role), key_(key) {}
    /// Another time-out than the node's default.
    Chosen within(Duration limit) const {
        Chosen other = *this;
        other.limit_ = limit;
        return other;
    }
    template <class C>
    static constexpr bool reaches = std::is_same_v<S, C>;
    Task<Bytes> send(rpc::MethodName method, Bytes arguments) const {
        return call_chosen(choose_, role_, key_, method, std::move(arguments), limit_);
    }
    void post(rpc::MethodName method, BytesView arguments) const {
        notify_chosen(choose_, role_, key_, method, arguments);
    }

private:
    Choose choose_;
    std::string_view role_;
    std::uint64_t key_;
    Duration limit_{};
};

/// Every node of a role that is known now, those that drain as well.
template <class S>
class All {
public:
    /// What one node answered.
    template <class R>
    struct Answer {
        std::string node;
        Result<R> result;
    };
    explicit All(std::string_view role) : role_(role) {}
    All within(Duration limit) const {
        All other = *this;
        other.limit_ = limit;
        return other;
    }
    /// At once; by name of the node. One that dies meanwhile: `disconnected` is its result.
    template <auto M, class... A>
    Task<std::vector<Answer<typename signature<M>::Result>>> call(A&&... arguments) const {
        static_assert(std::is_same_v<S, typename signature<M>::Class>, "gyre: a method of another service");
        return read<M>(call_all(role_, rpc::method_name<M>, encode_call<M>(std::forward<A>(arguments)...), limit_));
    }
    template <auto M, class... A>
    void notify(A&&... arguments) const {
        static_assert(std::is_same_v<S, typename signature<M>::Class>, "gyre: a method of another service");
        notify_all(role_, rpc::method_name<M>, encode_call<M>(std::forward<A>(arguments)...));
    }

private:
    template <auto M, class R = typename signature<M>::Result>
    static Task<std::vector<Answer<R>>> read(Task<std::vector<NodeAnswer>> answers) {
        std::vector<Answer<R>> out;
        for (auto& one : co_await std::move(answers))
            out.push_back({std::move(one.node), rpc::read_result<R>(one.result, rpc::detail::full_name<M>)});
        co_return out;
    }
    std::string_view role_;
    Duration limit_{};
};
template <class K>
std::uint64_t hash_key(const K& key) {
    if constexpr (std::is_convertible_v<const K&, std::string_view>) return fnv1a(key);
    else if constexpr (requires { key.value; }) return static_cast<std::uint64_t>(key.value);
    else return static_cast<std::uint64_t>(key);
}
}  // namespace module

// A service by its role (`static constexpr std::string_view role`; none: every node has it).
// Error of a call: no_service, when no node of the role can be chosen; it has not run. A call to a
// node that dies ends `disconnected` and is not repeated: it may have run.

/// One node after the other: `co_await any<Rank>().call<&Rank::top>(10)`.
template <class S>
module::Chosen<S> any(std::string_view role = module::role_of<S>()) {
    return {&module::choose_any, role, 0};
}
/// The node with the least load, as each reports it.
template <class S>
module::Chosen<S> least_loaded(std::string_view role = module::role_of<S>()) {
    return {&module::choose_least_loaded, role, 0};
}
/// The same node for the same key wherever it is called, also when others come and go.
/// key: text, a number, an enum or an Id.
template <class S, class K>
module::Chosen<S> hashed(const K& key, std::string_view role = module::role_of<S>()) {
    return {&module::choose_hashed, role, module::hash_key(key)};
}
/// All of them: `for (auto& [node, stats] : co_await all<Chat>().call<&Chat::stats>())`.
template <class S>
module::All<S> all(std::string_view role = module::role_of<S>()) {
    return module::All<S>(role);
}

/// To every entity in the cluster that has the method, itself or as a component; one way, one
/// frame a node. Loads none.
template <auto M, class... A>
void broadcast(A&&... arguments) {
    module::broadcast(module::role_of<typename signature<M>::Class>(), rpc::method_name<M>,
                      module::encode_call<M>(std::forward<A>(arguments)...));
}
/// The same on this node only. Returns how many entities it went to.
template <auto M, class... A>
std::size_t broadcast_here(A&&... arguments) {
    return module::broadcast_here(rpc::method_name<M>,
                                  module::encode_call<M>(std::forward<A>(arguments)...));
}

}  // namespace gyre
