#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <vector>

#include "echo.hpp"

// Boost.Asio with coroutines: one read of what there is, one write of all whole frames in it.
namespace asio = boost::asio;
using asio::ip::tcp;
using asio::use_awaitable;
using namespace kernel_bench;

namespace {

asio::awaitable<void> serve(tcp::socket socket) {
    std::vector<std::uint8_t> in(buffer_bytes), out;
    out.reserve(buffer_bytes);
    std::size_t used = 0;
    try {
        while (true) {
            used += co_await socket.async_read_some(
                asio::buffer(in.data() + used, in.size() - used), use_awaitable);
            std::size_t at = 0;
            out.clear();
            while (used - at >= head_bytes) {
                std::uint32_t payload;
                std::memcpy(&payload, in.data() + at, head_bytes);
                const std::size_t size = head_bytes + payload;
                if (size > in.size()) co_return;
                if (used - at < size) break;
                out.insert(out.end(), in.data() + at, in.data() + at + size);
                at += size;
            }
            std::memmove(in.data(), in.data() + at, used - at);
            used -= at;
            if (!out.empty()) co_await asio::async_write(socket, asio::buffer(out), use_awaitable);
        }
    } catch (const boost::system::system_error&) {
    }
}

asio::awaitable<void> accept(tcp::acceptor& acceptor) {
    while (true) {
        tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
        socket.set_option(tcp::no_delay(true));
        asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
    }
}

}  // namespace

int main(int count, char** values) {
    const Arguments arguments(count, values);
    if (!arguments.server) return 2;
    asio::io_context loop(1);
    tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    asio::co_spawn(loop, accept(acceptor), asio::detached);
    announce(acceptor.local_endpoint().port());
    loop.run();
}
