// What nearly every file of the engine includes, compiled once. Files still include what they use:
// the sanitizer presets build without this header.
#include <algorithm>
#include <array>
#include <chrono>
#include <coroutine>
#include <functional>
#include <gyre/base/bytes.hpp>
#include <gyre/base/context.hpp>
#include <gyre/base/result.hpp>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
