#pragma once
#include <gyre/secure/password.hpp>
#include <gyre/world/entity.hpp>

namespace gyre {

namespace module {

/// Hashes of passwords for one service, one at a time on a thread of low priority: a rush of
/// log-ins slows nothing else down.
struct PasswordsConfig {
    secure::PasswordCost cost;
    std::uint32_t queue = 64;  ///< Hashes that may wait.
    Duration wait = 3s;        ///< Who would wait longer is refused at once.
};

class Passwords final : public world::Attachment {
public:
    /// Of the service whose task runs, with which it ends. Before the first use of passwords().
    static void open(PasswordsConfig config);

    /// Error of both: overloaded.
    Task<std::string> hash(std::string password);
    Task<bool> verify(std::string hash, std::string password);
    std::size_t waiting() const;

    class Impl;
    explicit Passwords(std::unique_ptr<Impl> impl);
    ~Passwords() override;

private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace module

/// Of the service whose task runs; it has opened them.
module::Passwords& passwords();

}  // namespace gyre
