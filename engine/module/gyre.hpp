#pragma once
// The one include of game code.
#include <gyre/log/log.hpp>
#include <gyre/module/clients.hpp>
#include <gyre/module/logs.hpp>
#include <gyre/module/manifest.hpp>
#include <gyre/module/node.hpp>
#include <gyre/module/online.hpp>
#include <gyre/module/services.hpp>
#include <gyre/world/group.hpp>
