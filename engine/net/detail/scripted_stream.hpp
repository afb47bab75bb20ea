#pragma once
#include <gyre/io/io.hpp>

namespace gyre::net::detail {

/// A stream whose other side is a script: for tests and fuzzers.
class ScriptedStream final : public io::Stream {
public:
    struct Wire {
        io::StreamHandler* handler = nullptr;  ///< Null: not started, closed or destroyed.
        Bytes written;
        bool closed = false, paused = false;
        void arrive(BytesView bytes) {
            if (handler) handler->on_data(bytes);
        }
        void end() {
            if (handler) std::exchange(handler, nullptr)->on_closed(Error(errc::disconnected, "end"));
        }
    };
    explicit ScriptedStream(Wire& wire) : wire_(wire) {}
    ~ScriptedStream() override { close(); }
    void start(io::StreamHandler& handler) override { wire_.handler = &handler; }
    using io::Stream::write;
    void write(BytesView bytes) override { append(wire_.written, bytes); }
    std::size_t unsent_bytes() const override { return 0; }
    void pause(bool paused) override { wire_.paused = paused; }
    void close() noexcept override { wire_.closed = true, wire_.handler = nullptr; }
    io::Endpoint peer() const override { return {}; }
    io::Endpoint local() const override { return {}; }

private:
    Wire& wire_;
};

}  // namespace gyre::net::detail
