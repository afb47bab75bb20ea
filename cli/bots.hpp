#pragma once
#include <CLI/CLI.hpp>

namespace gyre::cli {

/// `gyre bots`: players that log in, play and measure. exit_code: 0 without an error, 1 with one,
/// 2 when it was asked wrongly.
void add_bots_command(CLI::App& app, int& exit_code);

}  // namespace gyre::cli
