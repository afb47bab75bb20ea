#include <gyre/module/check.hpp>

#include <cstdlib>

/// The bytes of a file; nothing of it is loaded.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto report = gyre::module::check_bytes({data, size}, [](const char*) { return true; });
    if (report.ok != report.errors.empty()) std::abort();
    (void)gyre::module::readable(report);
    return 0;
}
