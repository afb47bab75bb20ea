#pragma once
#include <exception>
#include <gyre/log/log.hpp>
#include <source_location>
#include <string_view>

namespace gyre::trace {

/// For who catches what went wrong: one line of the log with all that is known of it.
///
///     } catch (...) {
///         trace::failed("shop.refill_failed", std::current_exception(), {{"shop", id}});
///     }
///
/// Of a gyre::Error its text, place and the awaits it passed. Of any other exception its type too, and the
/// stack where it was thrown, at most once a minute for each place, with the variables of the top frames;
/// between, `again` counts. Names of functions are looked up by a thread of its own (start_reports()), which
/// then writes the line; without it, at once.
void failed(std::string_view event, const std::exception_ptr& failure, log::Fields fields = {},
            std::source_location where = std::source_location::current()) noexcept;
void failed(log::Level level, std::string_view event, const std::exception_ptr& failure, log::Fields fields = {},
            std::source_location where = std::source_location::current()) noexcept;

/// Of a process that runs nodes: before it starts them, and after they have ended. What waits is written.
void start_reports();
void stop_reports() noexcept;

}  // namespace gyre::trace
