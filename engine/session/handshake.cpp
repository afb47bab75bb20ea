#include <algorithm>
#include <gyre/codec/reader.hpp>
#include <gyre/codec/writer.hpp>
#include <gyre/rpc/connection.hpp>
#include <gyre/session/handshake.hpp>

namespace gyre::session {
namespace {
constexpr std::string_view magic = "gyre-client";
constexpr std::size_t max_server_name_bytes = 128;
}  // namespace

Bytes write_hello(const Hello& hello) {
    Writer writer;
    writer.array(4);
    writer.text(magic);
    writer.unsigned_integer(protocol_version);
    writer.unsigned_integer(hello.client_version);
    writer.text(hello.credential);
    return writer.take();
}

Result<Hello> read_hello(BytesView message) {
    if (message.size() > max_hello_bytes)
        return Error(errc::too_large, "hello of " + std::to_string(message.size()) +
                                          " bytes, limit " + std::to_string(max_hello_bytes));
    Reader reader(message);
    std::size_t count = 0;
    std::string_view word, credential;
    std::uint32_t version = 0;
    if (!reader.array(count) || !reader.text(word) || word != magic || !reader.integer(version))
        return Error(errc::bad_data, "not the hello of a game client");
    if (version != protocol_version)
        return Error(errc::update_required, "session protocol " + std::to_string(version) +
                                                ", this server speaks " +
                                                std::to_string(protocol_version));
    Hello hello;
    if (!reader.integer(hello.client_version) || !reader.text(credential) || !reader.finish())
        return reader.error("hello");
    if (count != 4) return Error(errc::bad_data, "hello: expected 4 values");
    hello.credential = credential;
    return hello;
}

Bytes write_welcome(const Welcome& welcome) {
    Writer writer;
    writer.array(4);
    writer.unsigned_integer(welcome.session);
    writer.unsigned_integer(welcome.entity);
    writer.text(std::string_view(welcome.server_name).substr(0, max_server_name_bytes));
    writer.unsigned_integer(static_cast<std::uint64_t>(welcome.heartbeat / 1ms));
    return writer.take();
}

bool is_early_call(BytesView message) { return !message.empty() && message[0] == 1; }

Result<Welcome> read_welcome(BytesView message) {
    if (auto reason = rpc::read_bye(message)) return *std::move(reason);
    Reader reader(message);
    Welcome welcome;
    std::size_t count = 0;
    std::string_view name;
    std::uint32_t heartbeat_ms = 0;
    if (!reader.array(count) || !reader.integer(welcome.session) ||
        !reader.integer(welcome.entity) || !reader.text(name) || !reader.integer(heartbeat_ms) ||
        !reader.finish())
        return reader.error("welcome");
    if (count != 4 || welcome.session == 0 || name.size() > max_server_name_bytes)
        return Error(errc::bad_data, "welcome: expected 4 values and a session id");
    welcome.server_name = name;
    welcome.heartbeat = std::chrono::milliseconds(std::clamp<std::uint32_t>(heartbeat_ms, 10, 60'000));
    return welcome;
}

}  // namespace gyre::session
