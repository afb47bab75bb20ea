#pragma once
#include <functional>
#include <memory>
#include <vector>

namespace gyre::cluster {

/// Ends when destroyed.
class [[nodiscard("it ends when this is destroyed")]] Subscription {
public:
    Subscription() = default;
    explicit Subscription(std::shared_ptr<void> callback) : callback_(std::move(callback)) {}

private:
    std::shared_ptr<void> callback_;
};

/// Callbacks in the order of their subscription. One may end itself or others, or add more, while
/// they are called.
template <class... A>
class Subscribers {
public:
    Subscription add(std::function<void(A...)> callback) {
        auto kept = std::make_shared<std::function<void(A...)>>(std::move(callback));
        callbacks_.push_back(kept);
        return Subscription(std::move(kept));
    }
    void tell(A... arguments) {
        std::erase_if(callbacks_, [](const auto& callback) { return callback.expired(); });
        const auto called = callbacks_;
        for (const auto& callback : called)
            if (const auto kept = callback.lock()) (*kept)(arguments...);
    }

private:
    std::vector<std::weak_ptr<std::function<void(A...)>>> callbacks_;
};

}  // namespace gyre::cluster
