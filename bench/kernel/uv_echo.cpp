#include <uv.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "echo.hpp"

// libuv: one read of what there is, one write of all whole frames in it.
using namespace kernel_bench;

namespace {

struct Connection {
    uv_tcp_t tcp{};
    std::vector<std::uint8_t> in = std::vector<std::uint8_t>(buffer_bytes);
    std::vector<std::uint8_t> out = std::vector<std::uint8_t>(buffer_bytes);
    std::size_t used = 0;
};
struct Write {
    uv_write_t request{};
    std::vector<std::uint8_t> bytes;
};

void on_room(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    auto* self = static_cast<Connection*>(handle->data);
    *buffer = uv_buf_init(reinterpret_cast<char*>(self->in.data() + self->used),
                          static_cast<unsigned>(self->in.size() - self->used));
}

void on_read(uv_stream_t* stream, ssize_t got, const uv_buf_t*) {
    auto* self = static_cast<Connection*>(stream->data);
    if (got < 0) {
        uv_close(reinterpret_cast<uv_handle_t*>(stream),
                 [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
        return;
    }
    self->used += static_cast<std::size_t>(got);
    std::size_t at = 0;
    while (self->used - at >= head_bytes) {
        std::uint32_t payload;
        std::memcpy(&payload, self->in.data() + at, head_bytes);
        if (head_bytes + payload > self->in.size()) std::abort();
        if (self->used - at < head_bytes + payload) break;
        std::memcpy(self->out.data() + at, self->in.data() + at, head_bytes + payload);
        at += head_bytes + payload;
    }
    if (at == 0) return;
    uv_buf_t out = uv_buf_init(reinterpret_cast<char*>(self->out.data()), static_cast<unsigned>(at));
    const int sent = uv_try_write(stream, &out, 1);
    const std::size_t done = sent > 0 ? static_cast<std::size_t>(sent) : 0;
    if (done < at) {
        auto* write = new Write;
        write->bytes.assign(self->out.data() + done, self->out.data() + at);
        write->request.data = write;
        out = uv_buf_init(reinterpret_cast<char*>(write->bytes.data()),
                          static_cast<unsigned>(write->bytes.size()));
        uv_write(&write->request, stream, &out, 1,
                 [](uv_write_t* request, int) { delete static_cast<Write*>(request->data); });
    }
    std::memmove(self->in.data(), self->in.data() + at, self->used - at);
    self->used -= at;
}

void on_connection(uv_stream_t* listener, int status) {
    if (status < 0) return;
    auto* connection = new Connection;
    uv_tcp_init(listener->loop, &connection->tcp);
    connection->tcp.data = connection;
    auto* stream = reinterpret_cast<uv_stream_t*>(&connection->tcp);
    if (uv_accept(listener, stream) != 0) return;
    uv_tcp_nodelay(&connection->tcp, 1);
    uv_read_start(stream, on_room, on_read);
}

}  // namespace

int main(int count, char** values) {
    const Arguments arguments(count, values);
    if (!arguments.server) return 2;
    uv_loop_t* loop = uv_default_loop();
    std::uint16_t port = 0;
    uv_tcp_t listener;
    uv_tcp_init(loop, &listener);
    if (uv_tcp_open(&listener, listen_on_loopback(port)) != 0 ||
        uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 16, on_connection) != 0)
        return 2;
    announce(port);
    return uv_run(loop, UV_RUN_DEFAULT);
}
