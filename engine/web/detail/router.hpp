#pragma once
#include <gyre/web/server.hpp>
#include <string>
#include <vector>

namespace gyre::web::detail {

/// Which handler answers a method and a path.
class Router {
public:
    void add(std::string_view method, std::string_view pattern, Handler handler);

    struct Match {
        const Handler* handler = nullptr;
        std::string allow;  ///< When only the method is wrong: "GET, HEAD, POST".
    };
    /// Fills path and parameters of `request`. Error: bad_arguments (bad percent-encoding).
    Result<Match> find(Request& request) const;

private:
    struct Segment {
        std::string text;  // of a parameter: its name
        bool parameter = false;
    };
    struct Route {
        std::string method;
        std::vector<Segment> segments;
        Handler handler;
    };
    std::vector<Route> routes_;  // literals before parameters
};

}  // namespace gyre::web::detail
