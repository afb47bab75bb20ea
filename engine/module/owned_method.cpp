#include <gyre/module/owned_method.hpp>

namespace gyre::module {

world::Record& record_with(const OwnedMethod& method, std::string_view what) {
    GYRE_ASSERT(current && current->object, "this runs in a task of an entity or service");
    auto& record = *static_cast<world::Record*>(current->object);
    if (!record.hosted.methods.contains(method.id))
        throw Error(errc::bad_arguments, std::string(what) + ": " + method.text + " is not a method of " +
                                             std::string(record.type.name));
    return record;
}

}  // namespace gyre::module
