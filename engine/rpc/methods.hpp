#pragma once
#include <array>
#include <gyre/base/token_bucket.hpp>
#include <optional>
#include <gyre/codec/codec.hpp>
#include <gyre/rpc/target.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::rpc {

/// What became of the calls of one method on this node.
struct MethodStats {
    std::uint64_t calls = 0;    ///< Begun, timers included.
    std::uint64_t failed = 0;   ///< Ended with an error.
    std::uint64_t refused = 0;  ///< Not begun: forbidden, bad_arguments, over a limit.
    std::uint32_t running = 0;
    std::uint32_t running_max = 0;
    Duration time{};  ///< Of those that ended, waits included; one within a loop turn counts 0.
    Duration time_max{};
};

/// One call while it is served: where its answer goes, and who counts it.
struct Serving {
    Serving(Mutex* q, Responder r, Form f = Form::indexes, MethodStats* s = nullptr,
            std::uint32_t* of_object = nullptr)
        : queue(q), respond(std::move(r)), form(f), stats(s), running(of_object) {
        if (running) ++*running;
        if (stats) begin();
    }
    Serving(Serving&& other) noexcept
        : queue(other.queue),
          respond(std::move(other.respond)),
          form(other.form),
          stats(std::exchange(other.stats, nullptr)),
          running(std::exchange(other.running, nullptr)),
          began(other.began) {}
    Serving& operator=(Serving&&) = delete;
    ~Serving() {
        if (running) --*running;
        if (stats) end();
    }
    Mutex* queue;  ///< Held by serial methods; outlives the call. Null: nothing to keep apart.
    Responder respond;
    Form form;  ///< Of the reply.
    MethodStats* stats;
    std::uint32_t* running;  ///< Calls of the object's method in progress; null: not limited.
    TimePoint began{};

private:
    void begin() {
        ++stats->calls;
        if (++stats->running > stats->running_max) stats->running_max = stats->running;
        if (current) began = current->executor->now();
    }
    void end() {
        --stats->running;
        if (!current || began == TimePoint{}) return;
        const Duration took = current->executor->now() - began;
        stats->time += took;
        if (took > stats->time_max) stats->time_max = took;
    }
};

/// One described method without its type: plain constants and a function of the module it is in.
struct MethodEntry {
    std::string_view name;       ///< "take"
    std::string_view full_name;  ///< "Bag.take"
    std::uint64_t id;            ///< hash_method(type, name)
    Caller caller;
    bool serial;
    bool restartable;
    Limit limit;
    std::size_t arity;
    /// Runs it on an object and answers; never throws. Reads the arguments before it first
    /// suspends. Errors answered: bad_arguments, timed_out (in the queue), the method's own.
    Task<> (*serve)(void* object, BytesView arguments, Serving call);
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

/// What a call came with, for who has to tell that it failed. Values that a method takes over are gone
/// by then: of those the bytes are kept, which costs a copy; other values stay where they were decoded to.
struct Arguments {
    static constexpr std::size_t kept_max = 1'024;
    const void* values = nullptr;
    Bytes (*named)(const Arguments&) = nullptr;  ///< With names; empty: they were not kept. Null: nothing was read.
};
struct KeptArguments : Arguments {
    KeptArguments(const void* v, Bytes (*n)(const Arguments&)) noexcept : Arguments{v, n} {}
    KeptArguments(const KeptArguments&) = delete;
    ~KeptArguments() {
        if (size > small.size()) release_frame(large, size);
    }
    void keep(BytesView bytes) {
        if (bytes.size() > kept_max) return;
        if (bytes.size() > small.size()) large = allocate_frame(bytes.size());
        size = bytes.size();
        if (size != 0) std::memcpy(size > small.size() ? large : small.data(), bytes.data(), size);
    }
    BytesView kept() const { return {size > small.size() ? static_cast<const std::uint8_t*>(large) : small.data(), size}; }

private:
    std::size_t size = 0;
    union {
        std::array<std::uint8_t, 64> small;
        void* large;
    };
};
template <class... P>
consteval bool stays_when_moved(std::type_identity<std::tuple<P...>>) {
    return (std::is_trivially_copyable_v<P> && ...);
}
template <class Parameters>
inline constexpr bool taken_over = !stays_when_moved(std::type_identity<Parameters>{});
template <class Parameters>
Bytes named_arguments(const Arguments& from) {
    Writer writer(Form::names);
    writer.hide_secrets();
    if constexpr (!taken_over<Parameters>) {
        Codec<Parameters>::encode(writer, *static_cast<const Parameters*>(from.values));
    } else {
        const auto values = decode<Parameters>(static_cast<const KeptArguments&>(from).kept());
        if (!values) return {};
        Codec<Parameters>::encode(writer, *values);
    }
    return writer.take();
}

void answer_bad_arguments(const Reader& reader, std::string_view method, Serving& call);
/// Of what was caught; called in its handler.
void answer_failure(std::string_view method, Serving& call, const Arguments& arguments);
void throw_if_late();

template <class T>
void answer_value(Serving& call, const T& value) {
    call.respond.write_result([&](Writer& writer) {
        writer.set_form(call.form);
        Codec<T>::encode(writer, value);
    });
}

template <auto M>
Task<> serve(void* object, BytesView arguments, Serving call) {
    using S = signature<M>;
    using Result = typename S::Result;
    bool made = false;  // what parameters start with may throw, too
    try {
        typename S::Parameters values{};
        made = true;
        constexpr bool keeps = taken_over<typename S::Parameters> && !described_member<M>().secret;
        std::conditional_t<keeps, KeptArguments, Arguments> told(described_member<M>().secret ? nullptr : &values, &named_arguments<typename S::Parameters>);
        try {
            {
                Reader reader(arguments);
                if constexpr (keeps) told.keep(arguments);
                if (!Codec<typename S::Parameters>::decode(reader, values) || !reader.finish()) {
                    answer_bad_arguments(reader, full_name<M>, call);
                    co_return;
                }
            }
            std::conditional_t<described_member<M>().serial, std::optional<Semaphore::Permit>, char> turn{};
            if constexpr (described_member<M>().serial) {
                if (call.queue) {
                    turn.emplace(co_await call.queue->lock());
                    throw_if_late();
                }
            }
            auto* self = static_cast<typename S::Class*>(object);
            const auto start = [self, &values] {
                return std::apply([self](auto&... v) { return (self->*M)(std::move(v)...); }, values);
            };
            if constexpr (is_task<typename S::Returned>) {
                if constexpr (std::is_void_v<Result>) co_await start();
                else answer_value<Result>(call, co_await start());
            } else {
                if constexpr (std::is_void_v<Result>) start();
                else answer_value<Result>(call, start());
            }
            if constexpr (std::is_void_v<Result>) call.respond(BytesView());
        } catch (...) {
            answer_failure(full_name<M>, call, told);
        }
    } catch (...) {
        if (made) throw;
        answer_failure(full_name<M>, call, Arguments());
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
                        m.serial, m.restartable, m.limit, signature<pointer>::arity, &serve<pointer>};
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
inline constexpr MethodName method_name{method_id<M>, detail::full_name<M>, described_member<M>().delivery};

/// What calls of one limited method of one object have taken.
struct LimitState {
    std::uint32_t running = 0;
    std::optional<TokenBucket> rate;
};

/// What a call needs to run on an object.
struct Callee {
    void* object = nullptr;
    const MethodEntry* method = nullptr;
    Scope* scope = nullptr;          ///< Owns the running call.
    Mutex* queue = nullptr;          ///< Held by serial methods; null: calls interleave.
    EntityId entity = 0;             ///< Who owner is, for the check.
    const Context* context = nullptr;  ///< What the call starts with; null: the scope's.
    MethodStats* stats = nullptr;
    LimitState* limit = nullptr;     ///< Of a method with limits.
};

/// Checks who may and the limits, then runs the method as a task of the callee's scope and
/// answers. Errors answered: forbidden, overloaded, bad_arguments, the method's own.
void run_call(const Callee& callee, const IncomingCall& call, Responder respond);

}  // namespace gyre::rpc
