#pragma once
#include <gyre/world/entity.hpp>

namespace gyre::module {

/// A described method that the engine calls later. Kept by name, so that a call reaches the code
/// which the node runs by then.
struct OwnedMethod {
    std::uint64_t id = 0;
    std::string text;  ///< "Type.method"
    rpc::MethodName name() const { return {id, text}; }
};

template <auto M, class Result, class... Parameters>
OwnedMethod owned_method() {
    static_assert(is_described<M>, "gyre: the engine calls a described method, so that a reload can replace it");
    static_assert(std::is_same_v<typename signature<M>::Parameters, std::tuple<Parameters...>> &&
                      std::is_same_v<typename signature<M>::Result, Result>,
                  "gyre: the engine calls this method with other parameters, or takes another result");
    return {method_id<M>, std::string(rpc::method_name<M>.text)};
}

/// Of the entity or service whose task runs. Error: bad_arguments, when it has not this method.
world::Record& record_with(const OwnedMethod& method, std::string_view what);

}  // namespace gyre::module
