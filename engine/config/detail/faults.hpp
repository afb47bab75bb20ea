#pragma once
#include <gyre/config/problem.hpp>

#include "tree.hpp"

namespace gyre::config::detail {

struct Fault {
    Place place;
    std::string key, message;
    std::string note = {};  // behind the message; the same fault with another note is told once
};

/// What is wrong, in the order it was found, each once; those beyond a limit are only counted.
class Faults {
public:
    static constexpr std::size_t kept_max = 50;

    /// False: it will only be counted, so that its message need not be made.
    bool has_room() const { return kept_.size() < kept_max; }
    void add(Fault fault);
    void add(const Faults& others);
    bool empty() const { return kept_.empty(); }
    std::size_t size() const { return kept_.size() + more_; }
    std::vector<Problem> problems() const;

private:
    std::vector<Fault> kept_;
    std::size_t more_ = 0;
};

/// The line of `place` with carets below it; no secrets, nothing that moves a terminal's cursor.
std::string excerpt(const Place& place);
/// `; did you mean "port"?`, `; known: port, listen`, or nothing.
std::string suggestion(std::string_view name, std::span<const std::string_view> known);
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace gyre::config::detail
