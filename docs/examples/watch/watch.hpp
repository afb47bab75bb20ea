#pragma once
#include <gyre/module/gyre.hpp>

/// Keeps the last errors of its node for a chat, and counts its warnings.
struct Watch : gyre::Service<Watch> {
    std::vector<std::string> to_chat;
    std::uint64_t warnings = 0;

    gyre::Task<> on_start() {
        using gyre::log::Level;
        gyre::logs().on_line<&Watch::report>(Level::error);             // error
        gyre::logs().on_line<&Watch::count>(Level::warn, Level::warn);  // warn alone
        co_return;
    }
    gyre::Task<> report(gyre::LogLine line) {  // a coroutine: it may call and wait
        to_chat.push_back(line.node + ": " + line.event + " " + line.fields);
        if (to_chat.size() > 100) to_chat.erase(to_chat.begin());
        co_return;
    }
    void count(gyre::LogLine) { ++warnings; }  // a plain method
    static consteval auto describe() {
        return gyre::type<Watch>("Watch", gyre::field<&Watch::to_chat>(), gyre::field<&Watch::warnings>(),
                                 gyre::method<&Watch::report>(), gyre::method<&Watch::count>());
    }
};
