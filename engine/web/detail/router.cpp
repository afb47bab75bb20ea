#include <algorithm>
#include <gyre/web/detail/router.hpp>

namespace gyre::web::detail {
namespace {

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> out;
    for (std::size_t from = 1; from <= path.size();) {
        const std::size_t to = std::min(path.find('/', from), path.size());
        out.push_back(path.substr(from, to - from));
        from = to + 1;
    }
    return out;  // "/" has one empty segment
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Handler handler) {
    GYRE_ASSERT(pattern.starts_with('/'), "a route begins with '/'");
    Route route{std::string(method), {}, std::move(handler)};
    for (const std::string_view part : split(pattern)) {
        const bool parameter = part.size() > 2 && part.front() == '{' && part.back() == '}';
        route.segments.push_back(
            {std::string(parameter ? part.substr(1, part.size() - 2) : part), parameter});
    }
    const auto shape = [](const Route& r) {
        std::string key;
        for (const Segment& s : r.segments) key += s.parameter ? "\x02" : "\x01" + s.text + "/";
        return key;
    };
    for (const Route& other : routes_)
        GYRE_ASSERT(other.method != route.method || shape(other) != shape(route),
                    "route given twice");
    const auto place = std::ranges::upper_bound(routes_, shape(route), {}, shape);
    routes_.insert(place, std::move(route));
}

Result<Router::Match> Router::find(Request& request) const {
    const std::string_view raw = std::string_view(request.url).substr(0, request.url.find('?'));
    std::vector<std::string> parts;
    for (const std::string_view part : split(raw)) {
        auto decoded = percent_decode(part);
        if (!decoded || decoded->find('\0') != std::string::npos)
            return Error(errc::bad_arguments, "path: bad percent-encoding");
        parts.push_back(std::move(*decoded));
        request.path += "/" + parts.back();
    }
    const auto fits = [&](const Route& route) {
        return std::ranges::equal(route.segments, parts,
                                  [](const Segment& s, const std::string& part) {
                                      return s.parameter ? !part.empty() : s.text == part;
                                  });
    };
    Match match;
    std::vector<std::string> allowed;
    for (const Route& route : routes_) {
        if (!fits(route)) continue;
        if (route.method == request.method || (route.method == "GET" && request.method == "HEAD")) {
            for (std::size_t i = 0; i < parts.size(); ++i)
                if (route.segments[i].parameter)
                    request.parameters.push_back({route.segments[i].text, parts[i]});
            match.handler = &route.handler;
            return match;
        }
        allowed.push_back(route.method);
        if (route.method == "GET") allowed.push_back("HEAD");
    }
    std::ranges::sort(allowed);
    allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
    for (const std::string& method : allowed)
        match.allow += (match.allow.empty() ? "" : ", ") + method;
    return match;
}

}  // namespace gyre::web::detail
