#include <gtest/gtest.h>

#include <algorithm>
#include <gyre/sim/world.hpp>
#include <gyre/task/sync.hpp>

namespace gyre::sim {
namespace {

/// What one side of a stream said, for the other side to compare with.
struct Side : io::StreamHandler {
    void on_data(BytesView bytes) override {
        heard += as_text(bytes);
        EXPECT_TRUE(other->said.starts_with(heard)) << "bytes are lost, doubled or invented";
        EXPECT_EQ(ends, 0) << "nothing follows the end";
    }
    void on_closed(const Error& reason) override {
        EXPECT_EQ(reason.code(), "disconnected");
        ++ends;
        stream.reset();
    }
    Side* other = nullptr;
    Machine* machine = nullptr;
    std::unique_ptr<io::Stream> stream;
    std::string said, heard;
    int ends = 0;
};

/// Machines that connect, talk and hang up at random, while everything fails at random.
class Chaos {
public:
    explicit Chaos(std::uint64_t seed)
        : world({.seed = seed, .network = {.stall_probability = 0.01, .cut_probability = 0.003}}),
          dice(world.random("chaos")) {
        for (int i = 0; i < 4; ++i) {
            machines.push_back(&world.machine("m" + std::to_string(i), "10.0.0." + std::to_string(i)));
            listeners.emplace_back();
            listen(static_cast<std::size_t>(i));
        }
    }
    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            act();
            world.run_for(dice.between(0ms, 50ms));
        }
    }
    /// Everything heals; every stream that is left carries all that was said.
    void settle() {
        world.heal();
        world.network().cut_probability = world.network().stall_probability = 0;
        for (std::size_t i = 0; i < machines.size(); ++i)
            if (!machines[i]->alive()) restart(i);
        for (auto& side : sides)
            if (side->stream) side->stream->pause(false);
        world.run_for(1min);
        for (auto& side : sides)
            if (side->stream && side->other->stream) {
                ++survivors;
                EXPECT_EQ(side->heard.size(), side->other->said.size());
                EXPECT_EQ(side->stream->unsent_bytes(), 0u);
            }
        for (auto& side : sides) side->stream.reset();
        world.run_for(1min);
        EXPECT_EQ(world.connections(), 0u);
    }
    World world;
    int connected = 0, survivors = 0;

private:
    void listen(std::size_t i) {
        listeners[i] = machines[i]->listen({machines[i]->address(), 7000},
                                           [this, i](std::unique_ptr<io::Stream> stream) {
                                               accept(i, std::move(stream));
                                           }).value();
    }
    Side& side_of(std::size_t i, std::unique_ptr<io::Stream> stream) {
        sides.push_back(std::make_unique<Side>());
        Side& side = *sides.back();
        side.machine = machines[i];
        side.stream = std::move(stream);
        return side;
    }
    void accept(std::size_t i, std::unique_ptr<io::Stream> stream) {
        Side& side = side_of(i, std::move(stream));
        const io::Endpoint peer = side.stream->peer();
        for (auto& client : sides)
            if (client->stream && client->stream->local() == peer && !client->other->machine) {
                // The client has been talking to a placeholder until now.
                Side* placeholder = client->other;
                side.other = client.get();
                client->other = &side;
                side.stream->start(side);
                std::erase_if(sides, [&](const auto& s) { return s.get() == placeholder; });
                return;
            }
        sides.pop_back();  // the client is gone already
    }
    static Task<> connect(Chaos* self, std::size_t from, std::size_t to) {
        auto stream = co_await self->machines[from]->connect(
            {self->machines[to]->address(), 7000}, 3s);
        Side& client = self->side_of(from, std::move(stream));
        Side& placeholder = self->side_of(to, nullptr);
        placeholder.machine = nullptr;
        placeholder.other = &client;
        client.other = &placeholder;
        client.stream->start(client);
        ++self->connected;
    }
    void restart(std::size_t i) {
        machines[i]->restart();
        listen(i);
    }
    void act() {
        const std::size_t i = dice.below(machines.size()), j = dice.below(machines.size());
        Machine& machine = *machines[i];
        switch (dice.below(16)) {
            case 0: machine.freeze(dice.between(0ms, 2s)); break;
            case 1: world.partition(machine, *machines[j]); break;
            case 2: world.partition_one_way(machine, *machines[j]); break;
            case 3: world.heal(); break;
            case 4: world.cut(machine, *machines[j]); break;
            case 5:
                if (dice.below(4) > 0) break;
                machine.kill(dice.below(2) ? Death::process : Death::machine);
                listeners[i].reset();
                for (auto& side : sides)
                    if (side->machine == &machine) side->stream.reset();
                break;
            case 6:
            case 7:
                if (!machine.alive()) restart(i);
                break;
            case 8:
                if (Side* side = any()) side->stream.reset();
                break;
            case 9:
                if (Side* side = any()) side->stream->pause(dice.below(2) != 0);
                break;
            case 10:
            case 11:
            case 12:
                if (machine.alive()) {
                    machine.executor().on_dropped_failure = [](const Error&, const std::exception_ptr&) {};
                    (void)go(machine.scope(), connect(this, i, j));
                }
                break;
            default: say();
        }
        for (auto& side : sides)
            if (side->stream && dice.below(8) == 0) side->stream->pause(false);
    }
    Side* any() {
        if (sides.empty()) return nullptr;
        Side& side = *sides[dice.below(sides.size())];
        return side.stream && side.machine->alive() ? &side : nullptr;
    }
    void say() {
        for (int k = 0; k < 10; ++k) {
            Side* side = any();
            if (!side) continue;
            std::string text(1 + dice.below(dice.below(4) ? 200 : 300'000), '\0');
            dice.fill({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
            side->said += text;
            side->stream->write(as_bytes(text));
        }
    }
    Random dice;
    std::vector<Machine*> machines;
    std::vector<std::unique_ptr<io::Listener>> listeners;
    std::vector<std::unique_ptr<Side>> sides;
};

TEST(SimChaos, streams_keep_their_promise_whatever_fails_and_runs_repeat) {
    int connected = 0, survivors = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(test_seed() * 1000 + seed));
        std::uint64_t hashes[2];
        for (std::uint64_t& hash : hashes) {
            Chaos chaos(test_seed() * 1000 + seed);
            chaos.run(300);
            chaos.settle();
            hash = chaos.world.trace_hash();
            connected += chaos.connected;
            survivors += chaos.survivors;
        }
        EXPECT_EQ(hashes[0], hashes[1]);
        if (HasFailure()) break;
    }
    EXPECT_GT(connected, 500);
    EXPECT_GT(survivors, 100);
}

}  // namespace
}  // namespace gyre::sim
