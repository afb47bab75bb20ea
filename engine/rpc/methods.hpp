#pragma once
#include <array>
#include <gyre/codec/codec.hpp>
#include <gyre/rpc/target.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::rpc {

/// One described method without its type: plain constants and a function of the module it is in.
struct MethodEntry {
    std::string_view name;       ///< "take"
    std::string_view full_name;  ///< "Bag.take"
    std::uint64_t id;            ///< hash_method(type, name)
    Caller caller;
    bool serial;
    std::size_t arity;
    /// Reads the arguments before it first suspends. `reply` outlives the task.
    Task<> (*invoke)(void* object, BytesView arguments, Form form, Bytes& reply);
};

namespace detail {
template <auto M>
consteval auto make_full_name() {
    constexpr std::string_view type = description<typename signature<M>::Class>.name;
    constexpr std::string_view name = described_name<M>();
    std::array<char, type.size() + 1 + name.size()> out{};
    std::size_t i = 0;
    for (const char c : type) out[i++] = c;
    out[i++] = '.';
    for (const char c : name) out[i++] = c;
    return out;
}
template <auto M>
inline constexpr auto full_name_chars = make_full_name<M>();
template <auto M>
inline constexpr std::string_view full_name{full_name_chars<M>.data(), full_name_chars<M>.size()};

template <class... P>
void read_arguments(Reader& reader, std::tuple<P...>& arguments, std::string_view method) {
    const bool ok = Codec<std::tuple<P...>>::decode(reader, arguments) && reader.finish();
    if (!ok) throw Error(errc::bad_arguments, reader.error_message(method));
}

template <auto M>
Task<> invoke(void* object, BytesView arguments, Form form, Bytes& reply) {
    using S = signature<M>;
    typename S::Parameters values{};
    Reader reader(arguments);
    read_arguments(reader, values, full_name<M>);
    auto* self = static_cast<typename S::Class*>(object);
    const auto start = [self, &values] {
        return std::apply([self](auto&... v) { return (self->*M)(std::move(v)...); }, values);
    };
    if constexpr (is_task<typename S::Returned>) {
        if constexpr (std::is_void_v<typename S::Result>) {
            co_await start();
        } else {
            const auto result = co_await start();
            reply = encode(result, form);
        }
    } else if constexpr (std::is_void_v<typename S::Result>) {
        start();
    } else {
        reply = encode(start(), form);
    }
    co_return;
}

template <class T>
consteval auto make_methods() {
    std::array<MethodEntry, std::remove_cvref_t<decltype(description<T>)>::method_count> out{};
    std::size_t i = 0;
    description<T>.each_method([&](const auto& m) {
        constexpr auto pointer = std::remove_cvref_t<decltype(m)>::pointer;
        if constexpr (check_method<pointer>)
            out[i++] = {m.name,   full_name<pointer>,        method_id<pointer>, m.caller,
                        m.serial, signature<pointer>::arity, &invoke<pointer>};
    });
    return out;
}
template <class T>
inline constexpr auto method_table = make_methods<T>();
}  // namespace detail

template <Described T>
constexpr std::span<const MethodEntry> methods_of() {
    return detail::method_table<T>;
}

template <auto M>
inline constexpr MethodName method_name{method_id<M>, detail::full_name<M>};

/// What a call needs to run on an object.
struct Callee {
    void* object = nullptr;
    const MethodEntry* method = nullptr;
    Scope* scope = nullptr;       ///< Owns the running call.
    Mutex* serial = nullptr;      ///< Held by serial methods.
    EntityId entity = 0;          ///< Who owner is, for the check.
    Context* context = nullptr;   ///< What the call starts with; null: the scope's.
};

/// Checks who may, then runs the method as a task of the callee's scope and answers.
/// Errors answered: forbidden, bad_arguments, the method's own.
void run_call(const Callee& callee, const IncomingCall& call, Responder respond);

}  // namespace gyre::rpc
