#pragma once
#include <cstdint>

namespace gyre {

/// What a message waits for at the other end of a link. Streams (TCP) deliver all of them in order.
enum class Order : std::uint8_t {
    ordered,     ///< Arrives, after those of its lane before it.
    unordered,   ///< Arrives, and waits for nothing.
    sequenced,   ///< May be lost; never after a newer one of its lane.
    unreliable,  ///< May be lost, may overtake.
};

/// What a message is worth: how much RUDP repeats while datagrams get lost.
enum class Care : std::uint8_t {
    economy,   ///< Sent again once it is known to be lost.
    balanced,  ///< Also repeated within the next datagram.
    urgent,    ///< Also repeated in a datagram of its own, 5 ms later.
};

struct Delivery {
    Order order = Order::ordered;
    std::uint8_t lane = 0;  ///< [0, 15], of ordered and of sequenced messages: lanes do not wait for each other.
    Care care = Care::balanced;

    /// Nothing newer makes up for it when it is left out.
    constexpr bool reliable() const { return order == Order::ordered || order == Order::unordered; }
    /// Behind everything that was sent with the defaults before.
    constexpr bool in_order() const { return order == Order::ordered && lane == 0; }
    friend constexpr bool operator==(Delivery, Delivery) = default;
};

}  // namespace gyre
