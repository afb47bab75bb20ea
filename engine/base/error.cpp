#include <cxxabi.h>

#include <cstdlib>
#include <gyre/base/error.hpp>
#include <typeinfo>

#include <utility>

namespace gyre {

Error::Error(std::string_view code, std::string message, std::source_location where)
    : code_(code),
      message_(std::move(message)),
      where_(std::string(where.file_name()) + ":" + std::to_string(where.line())),
      what_(message_.empty() ? code_ : code_ + ": " + message_) {}

Error::~Error() = default;

Error to_error(const std::exception_ptr& failure) noexcept {
    try {
        if (failure) std::rethrow_exception(failure);
        return Error(errc::internal, "no exception");
    } catch (const Error& error) {
        return error;
    } catch (const std::exception& error) {
        return Error(errc::internal, error.what());
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        int status = 1;
        char* name = type ? abi::__cxa_demangle(type->name(), nullptr, nullptr, &status) : nullptr;
        Error unknown(errc::internal, "exception of type " + std::string(name ? name : "unknown"));
        std::free(name);
        return unknown;
    }
}

}  // namespace gyre
