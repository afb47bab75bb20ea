#include <gyre/base/error.hpp>

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
        return Error(errc::internal, "exception of an unknown type");
    }
}

}  // namespace gyre
