# The toolchain of record is clang 19 with libstdc++. A compiler known to be broken is refused with the reason.
# Also used by projects that find_package(gyre).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
    message(FATAL_ERROR
        "Gyre: g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines silently (`if (co_await x)` in a body without "
        "locals never runs; temporaries in a co_await expression are destroyed twice). "
        "Use clang++-19: cmake --preset release, or -DCMAKE_CXX_COMPILER=clang++-19.")
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
    message(FATAL_ERROR "Gyre: clang ${CMAKE_CXX_COMPILER_VERSION} is older than the toolchain of record, clang 19.")
elseif(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(WARNING "Gyre is tested with clang 19 only; this is ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}.")
endif()
