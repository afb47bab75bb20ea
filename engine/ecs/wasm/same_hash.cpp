// Runs a world from a seed through everything it can do and prints its hash after each round:
// built natively and to WebAssembly, the lines must be the same (same_hash.py).
#include <gyre/ecs/world.hpp>

#include <cmath>
#include <cstdio>
#include <string>

namespace gyre::ecs {
namespace {

struct Position {
    static constexpr std::string_view ecs_name = "position";
    float x = 0, y = 0, z = 0;
};
struct Velocity {
    static constexpr std::string_view ecs_name = "velocity";
    float x = 1, y = 1, z = 1;
};
struct Mass {
    static constexpr std::string_view ecs_name = "mass";
    double kilograms = 1;
};
struct Label {  // Owns memory: moved and destroyed, not copied.
    static constexpr std::string_view ecs_name = "label";
    std::string text;
    void hash(StateHasher& hasher) const { hasher.bytes(text.data(), text.size()); }
};
struct Frozen {
    static constexpr std::string_view ecs_name = "frozen";
};

class Run {
public:
    explicit Run(std::uint64_t seed) : random_(seed) {
        world_.on_added<Frozen>([this](World&, Row row, Frozen&) { seen_.number(row.index); });
        world_.on_removed<Label>(
            [this](World&, Row, Label& label) { seen_.bytes(label.text.data(), label.text.size()); });
        world_.system<Position, const Velocity, Without<Frozen>>(
            "move", Phase::simulate, [](float dt_s, Position& p, const Velocity& v) {
                p.x += v.x * dt_s, p.y += v.y * dt_s, p.z += v.z * dt_s;
            });
        world_.system<Velocity, const Mass>(
            "slow", Phase::simulate, [](float dt_s, Velocity& v, const Mass& mass) {
                const double speed = std::sqrt(double{v.x} * v.x + double{v.y} * v.y);
                v.x -= static_cast<float>(speed / mass.kilograms) * dt_s;
                v.z = std::floor(v.z * 16) / 16 + v.x / 3;
            });
        world_.add({"far away", Phase::resolve, reads<Position>, writes<>, [](World& w, float) {
                        w.each<const Position>([&](Row row, const Position& p) {
                            if (p.x * p.x + p.y * p.y > 400) w.commands().destroy(row);
                        });
                    }});
    }
    std::uint64_t round() {
        world_.spawn_many<Position, Velocity>(
            below(900), [&](Row row, Position& p, Velocity& v) {
                p.x = static_cast<float>(row.index % 17), v.y = unit(), rows_.push_back(row);
            });
        for (int i = 0; i < 400; ++i) step();
        const std::uint64_t since = world_.checkpoint();
        world_.tick(1.0f / 30);
        world_.changed<Position>(since, [&](Row row, const Position&) { seen_.number(row.index); });
        seen_.number(world_.state_hash());
        return seen_.value();
    }

private:
    std::uint32_t below(std::uint32_t bound) {
        random_ += 0x9e3779b97f4a7c15u;
        return static_cast<std::uint32_t>((mix(random_) >> 32) * bound >> 32);
    }
    float unit() { return static_cast<float>(below(2001)) / 1000.0f - 1.0f; }
    Row any() {
        return rows_.empty() ? Row{} : rows_[below(static_cast<std::uint32_t>(rows_.size()))];
    }
    void step() {
        const Row row = any();
        const bool alive = world_.alive(row);
        switch (below(9)) {
            case 0: rows_.push_back(world_.spawn(Position{unit(), unit(), 0}, Mass{2})); return;
            case 1: rows_.push_back(world_.commands().spawn(Velocity{}, Label{"queued"})); return;
            case 2: world_.destroy(row); return;
            case 3:
                if (alive) world_.add(row, Label{std::string(below(40), 'l')});
                return;
            case 4: world_.remove<Label>(row); return;
            case 5:
                if (alive) world_.add<Frozen>(row);
                return;
            case 6: world_.remove<Frozen>(row); return;
            case 7: world_.commands().add(row, Mass{below(100) + 0.5}); return;
            default:
                if (Velocity* v = world_.find<Velocity>(row)) v->x = unit() * 40;
        }
    }

    World world_;
    std::vector<Row> rows_;
    StateHasher seen_;
    std::uint64_t random_;
};

}  // namespace
}  // namespace gyre::ecs

int main() {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        gyre::ecs::Run run(seed);
        for (int round = 1; round <= 40; ++round)
            std::printf("seed=%d round=%d hash=%016llx\n", static_cast<int>(seed), round,
                        static_cast<unsigned long long>(run.round()));
    }
}
