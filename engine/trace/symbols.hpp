#pragma once
#include <cstdint>
#include <gyre/base/result.hpp>
#include <memory>
#include <string>
#include <vector>

/// Addresses as functions and lines. Any thread.
namespace gyre::trace {

struct Place {
    std::string function;  ///< Demangled; empty: not known.
    std::string file;      ///< Relative to the source tree of the engine or to the working folder, where it lies there.
    std::uint32_t line = 0, column = 0;
    bool inlined = false;      ///< Into the one after it.
    std::string object;        ///< ELF file.
    std::string build_id;      ///< Of the file, hex digits.
    std::uint64_t offset = 0;  ///< In it: what addr2line takes.
};
/// "lib/libgyre.so+0x1234 build 1f0c6a2e...": what `gyre symbolize` reads.
std::string raw(const Place& place);

/// A function's name as people read it: long argument and template lists are left out, std::string is one word.
std::string shortened(std::string function);

/// After a library was loaded or unloaded: index() has to run again. Cheap.
void modules_changed() noexcept;
/// Reads the debug information of all that is loaded: 0.1 s and 14 MB for a release build, then of what is new.
/// Blocks: for a pool.
void index();
bool indexed() noexcept;  ///< Of all that is loaded.

/// Innermost inlined function first; at least one. Of what is not indexed only object, build and offset, at
/// once: it never waits for a disk.
std::vector<Place> resolve(std::uintptr_t pc);

/// An ELF file on the disk, with its debug information or that of /usr/lib/debug.
class Object {
public:
    static Result<Object> open(const std::string& path);  ///< Errors: not_found, bad_data; name the file.
    Object(Object&&) noexcept;
    Object& operator=(Object&&) noexcept;
    ~Object();
    const std::string& build_id() const;
    std::vector<Place> resolve(std::uint64_t offset) const;  ///< As above; empty: outside of the file.

private:
    struct Session;
    explicit Object(std::unique_ptr<Session> session);
    std::unique_ptr<Session> session_;
};

}  // namespace gyre::trace
