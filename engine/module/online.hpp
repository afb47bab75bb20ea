#pragma once
#include <gyre/module/clients.hpp>

namespace gyre {

/// The client that plays an entity. An entity with a described method `on_client` hears of each
/// change: `Task<> on_client()`.
struct Online : Component<Online> {
    ClientRef client;     ///< Empty: nobody.
    std::string account;  ///< Name of the account it was created for.

    /// The newer session replaces the older, which is told `replaced`.
    Task<> attach(ClientRef newer);
    /// Of that session only; a late goodbye of a replaced one changes nothing. True: nobody is left.
    Task<bool> detach(std::uint64_t session);
    /// Unloaded while a client plays it: its gate is told to find it again.
    Task<> on_stop();
    bool is_online() const { return static_cast<bool>(client); }

    static consteval auto describe() {
        return type<Online>("Online", field<&Online::client>(),
                            field<&Online::account>(persist), method<&Online::attach>(),
                            method<&Online::detach>(), method<&Online::is_online>());
    }

private:
    void tell();
};

/// Saves the entity whose task runs; the database has it when this ends. Error: fenced.
Task<> save_now();

}  // namespace gyre
