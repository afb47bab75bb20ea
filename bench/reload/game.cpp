#include "bench/reload/game.hpp"

GYRE_MODULE("game", game::Hero, game::Field)
