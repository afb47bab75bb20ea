#pragma once

namespace gyre {

/// A link of an intrusive, doubly linked ring. Unlinks itself when destroyed.
struct Link {
    Link* next = this;
    Link* previous = this;
    Link() = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link() { unlink(); }
    bool linked() const noexcept { return next != this; }
    void unlink() noexcept {
        next->previous = previous;
        previous->next = next;
        next = previous = this;
    }
    void append_to(Link& ring) noexcept {
        previous = ring.previous;
        next = &ring;
        ring.previous->next = this;
        ring.previous = this;
    }
};

}  // namespace gyre
