#pragma once
#include <gyre/ecs/component.hpp>
#include <gyre/ecs/row.hpp>

#include <memory>
#include <tuple>
#include <vector>

namespace gyre::ecs {
class World;

/// Changes of rows to be made at the end of the phase, in the order they were queued.
/// A command for a row that is gone by then does nothing.
class Commands {
public:
    explicit Commands(World& world) : world_(world) {}
    ~Commands();
    Commands(const Commands&) = delete;
    Commands& operator=(const Commands&) = delete;

    /// The row is named now, for later commands, and alive after the phase.
    template <Component... Cs>
    Row spawn(Cs... components);
    void destroy(Row row);
    /// Replaces the value when the row has one.
    template <Component C>
    void add(Row row, C value = {});
    template <Component C>
    void remove(Row row);

    bool empty() const noexcept { return queue_.empty(); }
    /// Applies all, also those queued meanwhile by hooks. World does this.
    void apply();

private:
    struct Command {
        void (*apply)(World&, Row, void* payload);  ///< Consumes the payload.
        void (*drop)(void* payload) noexcept;       ///< null: nothing to destroy.
        void* payload;
        Row row;
    };
    struct Page {
        std::unique_ptr<std::byte[]> bytes;
        std::size_t size;
    };
    void* allocate(std::size_t size, std::size_t align);
    template <class Payload>
    void push(Row row, Payload&& payload, void (*apply)(World&, Row, void*));
    Row reserve_row();

    World& world_;
    std::vector<Command> queue_;
    std::size_t applied_ = 0;
    bool applying_ = false;
    std::vector<Page> pages_;  ///< Payloads; kept for reuse.
    std::size_t page_ = 0, used_ = 0;
};

}  // namespace gyre::ecs
