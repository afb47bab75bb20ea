#include "games/arena/bots/pilot.hpp"

#include <cmath>
#include <gyre/base/hash.hpp>

namespace arena {
namespace {
constexpr float keep_distance = 7;  // metres, from the enemy
constexpr float fire_distance = 20;
constexpr std::uint32_t turn_every = 15;  // inputs
}  // namespace

void Pilot::look(const Snapshot& snapshot) {
    const FighterState* self = nullptr;
    for (const auto& one : snapshot.fighters)
        if (one.slot == slot_) self = &one;
    if (!self) return;
    in_match_ = true;
    last_input_ = self->last_input;
    x_ = self->x, y_ = self->y;
    sees_enemy_ = false;
    float nearest = 0;
    for (const auto& one : snapshot.fighters) {
        if (one.slot == slot_ || one.health <= 0) continue;
        const float dx = one.x - x_, dy = one.y - y_;
        const float distance = dx * dx + dy * dy;
        if (sees_enemy_ && distance >= nearest) continue;
        nearest = distance;
        sees_enemy_ = true;
        enemy_x_ = one.x, enemy_y_ = one.y;
    }
}

Input Pilot::decide(gyre::TimePoint now) {
    Input input;
    input.sequence = ++sequence_;
    // Changes its mind now and then; in between it is steady enough to be shot at.
    const std::uint64_t whim = gyre::mix(choice_ + sequence_ / turn_every);
    const float side = whim & 1 ? 1.0f : -1.0f;
    float dx = enemy_x_ - x_, dy = enemy_y_ - y_;
    const float distance = std::sqrt(dx * dx + dy * dy);
    if (sees_enemy_ && distance > 0.01f) {
        dx /= distance, dy /= distance;
        const float closer = distance > keep_distance ? 1.0f : -0.5f;
        input.move_x = dx * closer - dy * side;
        input.move_y = dy * closer + dx * side;
        input.aim_x = dx, input.aim_y = dy;
        input.fire = distance < fire_distance;
    } else {
        const float angle = static_cast<float>(whim % 628) / 100;
        input.move_x = std::cos(angle);
        input.move_y = std::sin(angle);
    }
    sent_.push_back({sequence_, now});
    if (sent_.size() > 64) sent_.pop_front();  // nobody answers any more
    return input;
}

}  // namespace arena
