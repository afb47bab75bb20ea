#include <gyre/module/gyre.hpp>

namespace sample {

struct Greeter : gyre::Entity<Greeter> {
    std::uint32_t greeted = 0;

    gyre::Task<std::string> greet(std::string name) {
        if (name.empty()) throw gyre::Error(gyre::errc::bad_arguments, "nobody to greet");
        ++greeted;
        co_return "hello " + name;
    }

    static consteval auto describe() {
        return gyre::type<Greeter>("Greeter", gyre::field<&Greeter::greeted>(),
                                   gyre::method<&Greeter::greet>());
    }
};

}  // namespace sample

__attribute__((used)) void not_for_others() {}

GYRE_MODULE("sample", sample::Greeter)
