#pragma once
#include <gyre/rpc/methods.hpp>
#include <gyre/rpc/outgoing.hpp>

namespace gyre {

namespace rpc::detail {
/// Of the node whose task runs; asserts outside of a node.
Rpc& running();

template <auto M>
Bytes encode_arguments(const typename signature<M>::Parameters& values) {
    static_assert(is_described<M>,
                  "gyre: this method cannot be called from elsewhere: list it in describe()");
    if constexpr (is_described<M> && check_method<M>) return encode(values);
    return {};
}
[[noreturn]] void throw_bad_reply(const Reader& reader, std::string_view method);
template <class R>
R read_reply(BytesView bytes, std::string_view method) {
    if constexpr (!std::is_void_v<R>) {
        R value{};
        Reader reader(bytes);
        if (!Codec<R>::decode(reader, value) || !reader.finish()) throw_bad_reply(reader, method);
        return value;
    }
}
template <auto M, std::size_t I>
using Parameter = std::tuple_element_t<I, typename signature<M>::Parameters>;
template <auto M, std::size_t N>
concept Takes = signature<M>::arity == N;
template <auto M>
using Reply = Task<typename signature<M>::Result>;

/// One frame a call: `values` and `to` live in it, the bytes are written and read in place.
template <auto M>
Reply<M> call_method(Destination to, typename signature<M>::Parameters values) {
    Rpc& rpc = running();
    CallOptions options = rpc.default_options();
    if (to.limit > Duration::zero()) options.limit = to.limit;
    for (bool followed = false;;) {
        Outgoing call(rpc, to, method_name<M>, options);
        if (!call.at_hand()) co_await call.reach();
        Codec<typename signature<M>::Parameters>::encode(call.arguments(), values);
        try {
            const BytesView value = co_await call;
            co_return read_reply<typename signature<M>::Result>(value, full_name<M>);
        } catch (const Error& error) {
            if (!call.follow(error, to, options, followed)) throw;
        }
    }
}

/// call<M>(...) as overloads with M's own parameter types: braces and narrowing behave as in a
/// plain call. Self has destination(), or send(MethodName, Bytes) -> Task<Bytes>.
template <class Self>
class Callable {
public:
    template <auto M>
        requires Takes<M, 0>
    Reply<M> call() const {
        return run<M>({});
    }
    template <auto M>
        requires Takes<M, 1>
    Reply<M> call(Parameter<M, 0> a) const {
        return run<M>({std::move(a)});
    }
    template <auto M>
        requires Takes<M, 2>
    Reply<M> call(Parameter<M, 0> a, Parameter<M, 1> b) const {
        return run<M>({std::move(a), std::move(b)});
    }
    template <auto M>
        requires Takes<M, 3>
    Reply<M> call(Parameter<M, 0> a, Parameter<M, 1> b, Parameter<M, 2> c) const {
        return run<M>({std::move(a), std::move(b), std::move(c)});
    }
    template <auto M>
        requires Takes<M, 4>
    Reply<M> call(Parameter<M, 0> a, Parameter<M, 1> b, Parameter<M, 2> c,
                  Parameter<M, 3> d) const {
        return run<M>({std::move(a), std::move(b), std::move(c), std::move(d)});
    }
    template <auto M>
        requires Takes<M, 5>
    Reply<M> call(Parameter<M, 0> a, Parameter<M, 1> b, Parameter<M, 2> c, Parameter<M, 3> d,
                  Parameter<M, 4> e) const {
        return run<M>({std::move(a), std::move(b), std::move(c), std::move(d), std::move(e)});
    }
    template <auto M>
        requires Takes<M, 6>
    Reply<M> call(Parameter<M, 0> a, Parameter<M, 1> b, Parameter<M, 2> c, Parameter<M, 3> d,
                  Parameter<M, 4> e, Parameter<M, 5> f) const {
        return run<M>({std::move(a), std::move(b), std::move(c), std::move(d), std::move(e),
                       std::move(f)});
    }

    /// One way: no reply, no error. M's parameters as in call.
    template <auto M, class... A>
    void notify(A&&... arguments) const {
        static_assert(Self::template reaches<typename signature<M>::Class>,
                      "gyre: this entity has no such component: add it to Entity<...>");
        static_cast<const Self&>(*this).post(
            method_name<M>,
            encode_arguments<M>(typename signature<M>::Parameters{std::forward<A>(arguments)...}));
    }

private:
    template <auto M>
    static Reply<M> refused();  // so that no second error follows the first
    template <auto M>
    Reply<M> run(typename signature<M>::Parameters values) const {
        static_assert(Self::template reaches<typename signature<M>::Class>,
                      "gyre: this entity has no such component: add it to Entity<...>");
        static_assert(is_described<M>,
                      "gyre: this method cannot be called from elsewhere: list it in describe()");
        const auto& self = static_cast<const Self&>(*this);
        if constexpr (!is_described<M> || !check_method<M>) {
            return refused<M>();
        } else if constexpr (requires { self.destination(); }) {
            return call_method<M>(self.destination(), std::move(values));
        } else {
            return receive<M>(self.send(method_name<M>, encode_arguments<M>(values)));
        }
    }
    template <auto M>
    static Reply<M> receive(Task<Bytes> reply) {
        const Bytes bytes = co_await std::move(reply);
        co_return read_reply<typename signature<M>::Result>(bytes, full_name<M>);
    }
};
}  // namespace rpc::detail

/// An entity wherever it is: `co_await remote(avatar).call<&Bag::take>(item, 3)`.
template <class E>
class Remote : public rpc::detail::Callable<Remote<E>> {
public:
    explicit Remote(Id<E> id, std::optional<io::Endpoint> at = {}) : id_(id), at_(std::move(at)) {}
    /// Another time-out than the node's default.
    Remote within(Duration limit) const {
        Remote other = *this;
        other.limit_ = limit;
        return other;
    }
    template <class C>
    static constexpr bool reaches = std::is_same_v<E, C> || requires { requires E::template has_component<C>; };
    rpc::Destination destination() const { return {id_.value, description<E>.name, at_, limit_}; }
    void post(rpc::MethodName method, BytesView arguments) const {
        rpc::detail::running().notify(destination(), method, arguments);
    }

private:
    Id<E> id_;
    std::optional<io::Endpoint> at_;
    Duration limit_{};
};
template <class E>
Remote<E> remote(Id<E> id) {
    return Remote<E>(id);
}

/// A service of the node at an address.
template <class S>
class RemoteService : public rpc::detail::Callable<RemoteService<S>> {
public:
    explicit RemoteService(io::Endpoint at) : at_(std::move(at)) {}
    RemoteService within(Duration limit) const {
        RemoteService other = *this;
        other.limit_ = limit;
        return other;
    }
    template <class C>
    static constexpr bool reaches = std::is_same_v<S, C>;
    rpc::Destination destination() const { return {0, {}, at_, limit_}; }
    void post(rpc::MethodName method, BytesView arguments) const {
        rpc::detail::running().notify(destination(), method, arguments);
    }

private:
    io::Endpoint at_;
    Duration limit_{};
};

/// By address: `at("10.0.0.7:10001").service<LoadCollector>().call<&LoadCollector::current>()`.
class At {
public:
    explicit At(io::Endpoint at) : at_(std::move(at)) {}
    template <class S>
    RemoteService<S> service() const {
        return RemoteService<S>(at_);
    }
    template <class E>
    Remote<E> entity(Id<E> id) const {
        return Remote<E>(id, at_);
    }

private:
    io::Endpoint at_;
};
inline At at(io::Endpoint address) { return At(std::move(address)); }
inline At at(std::string_view address) { return At(io::Endpoint::parse(address).value()); }

}  // namespace gyre
