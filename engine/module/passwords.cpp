#include <gyre/module/node.hpp>
#include <gyre/module/passwords.hpp>

namespace gyre {
namespace module {

class Passwords::Impl {
public:
    Impl(io::Io& io, PasswordsConfig config)
        : io_(io),
          config_(config),
          lane_(io.make_lane(
              {.name = "password", .threads = 1, .queue_limit = config.queue, .low_priority = true})) {}

    Task<std::string> hash(std::string password) {
        secure::PasswordSalt salt;
        io_.random(salt);
        auto made = co_await run([password = std::move(password), cost = config_.cost, salt] {
            return secure::hash_password(password, cost, salt);
        });
        co_return std::move(made).value();
    }
    Task<bool> verify(std::string hash, std::string password) {
        return run([hash = std::move(hash), password = std::move(password)] {
            return secure::verify_password(hash, password);
        });
    }
    std::size_t waiting() const { return lane_->waiting(); }

private:
    /// On a busy machine a thread of low priority gets little: who would wait too long hears it now.
    template <class F>
    Task<std::invoke_result_t<F&>> run(F work) {
        const auto ahead = static_cast<std::int64_t>(pending_);
        if (ahead > 0 && each_ * (ahead + 1) > config_.wait)
            throw Error(errc::overloaded, "passwords wait for " + std::to_string(each_ * ahead / 1ms) + " ms");
        const TimePoint began = io_.now();
        struct Count {
            explicit Count(std::uint32_t& n) : pending(n) { ++pending; }
            ~Count() { --pending; }
            std::uint32_t& pending;
        } count(pending_);
        auto result = co_await lane_->run(std::move(work));
        each_ += ((io_.now() - began) / (ahead + 1) - each_) / 8;
        co_return result;
    }

    io::Io& io_;
    const PasswordsConfig config_;
    std::uint32_t pending_ = 0;
    Duration each_{};  // moving average of what one hash takes, its share of the machine included
    std::unique_ptr<io::Lane> lane_;
};

Passwords::Passwords(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Passwords::~Passwords() = default;
void Passwords::open(PasswordsConfig config) {
    GYRE_ASSERT(current && current->object, "passwords are opened by a task of a service");
    static_cast<world::Record*>(current->object)
        ->attachments.push_back(
            std::make_unique<Passwords>(std::make_unique<Impl>(this_node().io, config)));
}
Task<std::string> Passwords::hash(std::string password) { return impl_->hash(std::move(password)); }
Task<bool> Passwords::verify(std::string hash, std::string password) {
    return impl_->verify(std::move(hash), std::move(password));
}
std::size_t Passwords::waiting() const { return impl_->waiting(); }

}  // namespace module

module::Passwords& passwords() {
    GYRE_ASSERT(current && current->object, "passwords() runs in a task of a service");
    for (const auto& one : static_cast<world::Record*>(current->object)->attachments)
        if (auto* found = dynamic_cast<module::Passwords*>(one.get())) return *found;
    throw Error(errc::not_found, "this service has not opened passwords");
}

}  // namespace gyre
