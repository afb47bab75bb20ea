#include <gyre/trace/symbols.hpp>

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "detail/process.hpp"

namespace gyre::trace {

std::string raw(const Place& place) {
    char offset[24];
    std::snprintf(offset, sizeof offset, "+0x%llx", static_cast<unsigned long long>(place.offset));
    return (place.object.empty() ? "?" : place.object) + offset + " build " +
           (place.build_id.empty() ? "unknown" : place.build_id);
}

std::string shortened(std::string name) {
    constexpr std::pair<std::string_view, std::string_view> words[] = {
        {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
        {"std::basic_string_view<char, std::char_traits<char> >", "std::string_view"},
        {"std::__cxx11::", "std::"}, {"std::__n4861::", "std::"}, {"(anonymous namespace)::", ""}};
    for (const auto& [what, with] : words)
        for (std::size_t found; (found = name.find(what)) != name.npos;) name.replace(found, what.size(), with);
    // Lists of templates, then of arguments: what is long in brackets of the outermost level.
    for (const auto& [open, close] : {std::pair('<', '>'), std::pair('(', ')')}) {
        int depth = 0;
        std::string kept;
        std::size_t begin = 0;
        for (const char c : name) {
            if (c == open && depth++ == 0) begin = kept.size() + 1;
            if (c == close && depth > 0 && --depth == 0 && kept.size() - begin > 40) {
                kept.resize(begin);
                kept += "...";
            }
            kept += c;
        }
        if (depth == 0) name = std::move(kept);
    }
    return name;
}

void modules_changed() noexcept { detail::Process::self().changed(); }
bool indexed() noexcept { return detail::Process::self().indexed(); }
void index() { detail::Process::self().index(); }

namespace {

void add_raw(std::vector<Place>& places, std::string_view object, std::string_view build_id,
             std::uint64_t offset) {
    for (auto& place : places) {
        place.object = object;
        place.build_id = build_id;
        place.offset = offset;
    }
}

}  // namespace

std::vector<Place> resolve(std::uintptr_t pc) {
    auto& process = detail::Process::self();
    const detail::Process::Lock held(process);
    if (!held) return std::vector<Place>(1);
    const auto found = process.find(pc);
    auto places = found.image ? found.image->places(found.address) : std::vector<Place>(1);
    add_raw(places, found.path, found.build_id, found.address);
    return places;
}

struct Object::Session {
    std::string path;
    std::unique_ptr<detail::Image> image;
};

Object::Object(std::unique_ptr<Session> session) : session_(std::move(session)) {}
Object::Object(Object&&) noexcept = default;
Object& Object::operator=(Object&&) noexcept = default;
Object::~Object() = default;

Result<Object> Object::open(const std::string& path) {
    std::string why;
    auto image = detail::Image::open(path, {}, true, why);
    if (!image)
        return Error(::access(path.c_str(), R_OK) == 0 ? errc::bad_data : errc::not_found,
                     path + ": " + why);
    image->index();
    return Object(std::make_unique<Session>(path, std::move(image)));
}

const std::string& Object::build_id() const { return session_->image->build_id(); }

std::vector<Place> Object::resolve(std::uint64_t offset) const {
    std::vector<Place> places;
    if (session_->image->executable(offset)) places = session_->image->places(offset);
    add_raw(places, session_->path, build_id(), offset);
    return places;
}

}  // namespace gyre::trace
