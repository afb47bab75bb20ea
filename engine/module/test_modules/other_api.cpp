#include <gyre/module/manifest.hpp>

extern "C" __attribute__((visibility("default"))) const gyre::module::Manifest gyre_module;
const gyre::module::Manifest gyre_module{gyre::module::api_version + 1, "other_api", nullptr, 0, &gyre::detail::code_uses};
