#pragma once
#include <gyre/task/pool.hpp>

namespace gyre {

/// A chain that takes a place of a pool while it runs.
struct Pool::PooledChain : Chain {
    PooledChain(Pool& p, Scope& owner, detail::PromiseBase& root) : Chain(owner, root), pool(p) {
        pooled_ = true;
    }
    using Chain::operator new;
    using Chain::operator delete;
    Pool& pool;
    Start* start = nullptr;  // while it waits for its start
    bool started = false;
};

/// Where a chain waits for its start.
struct Pool::Start : Waiter {
    explicit Start(PooledChain& chain);
    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* start, std::size_t bytes) { release_frame(start, bytes); }
    static void begin(Ready& ready);
};

}  // namespace gyre
