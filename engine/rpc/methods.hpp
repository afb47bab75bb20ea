#pragma once
#include <array>
#include <optional>
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
    /// Runs it on an object and answers; never throws. Reads the arguments before it first
    /// suspends. `queue` is held by serial methods and outlives the task.
    /// Errors answered: bad_arguments, timed_out (in the queue), the method's own.
    Task<> (*serve)(void* object, BytesView arguments, Form form, Mutex& queue, Responder respond);
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

void answer_bad_arguments(const Reader& reader, std::string_view method, Responder& respond);
/// Of what was caught; called in its handler.
void answer_failure(std::string_view method, Responder& respond);
void throw_if_late();

template <class T>
void answer_value(Responder& respond, Form form, const T& value) {
    respond.write_result([&](Writer& writer) {
        writer.set_form(form);
        Codec<T>::encode(writer, value);
    });
}

template <auto M>
Task<> serve(void* object, BytesView arguments, Form form, Mutex& queue, Responder respond) {
    using S = signature<M>;
    using Result = typename S::Result;
    try {
        typename S::Parameters values{};
        {
            Reader reader(arguments);
            if (!Codec<typename S::Parameters>::decode(reader, values) || !reader.finish()) {
                answer_bad_arguments(reader, full_name<M>, respond);
                co_return;
            }
        }
        std::conditional_t<described_member<M>().serial, std::optional<Semaphore::Permit>, char> turn{};
        if constexpr (described_member<M>().serial) {
            turn.emplace(co_await queue.lock());
            throw_if_late();
        }
        auto* self = static_cast<typename S::Class*>(object);
        const auto start = [self, &values] {
            return std::apply([self](auto&... v) { return (self->*M)(std::move(v)...); }, values);
        };
        if constexpr (is_task<typename S::Returned>) {
            if constexpr (std::is_void_v<Result>) co_await start();
            else answer_value<Result>(respond, form, co_await start());
        } else {
            if constexpr (std::is_void_v<Result>) start();
            else answer_value<Result>(respond, form, start());
        }
        if constexpr (std::is_void_v<Result>) respond(BytesView());
    } catch (...) {
        answer_failure(full_name<M>, respond);
    }
}

template <class T>
consteval auto make_methods() {
    std::array<MethodEntry, std::remove_cvref_t<decltype(description<T>)>::method_count> out{};
    std::size_t i = 0;
    description<T>.each_method([&](const auto& m) {
        constexpr auto pointer = std::remove_cvref_t<decltype(m)>::pointer;
        if constexpr (check_method<pointer>)
            out[i++] = {m.name,   full_name<pointer>,        method_id<pointer>, m.caller,
                        m.serial, signature<pointer>::arity, &serve<pointer>};
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
    Mutex* queue = nullptr;       ///< Held by serial methods.
    EntityId entity = 0;          ///< Who owner is, for the check.
    Context* context = nullptr;   ///< What the call starts with; null: the scope's.
};

/// Checks who may, then runs the method as a task of the callee's scope and answers.
/// Errors answered: forbidden, bad_arguments, the method's own.
void run_call(const Callee& callee, const IncomingCall& call, Responder respond);

}  // namespace gyre::rpc
