# The toolchain of record is clang 19 with libstdc++. A compiler known to be broken is refused with the reason.
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

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

find_program(GYRE_CCACHE ccache)
if(GYRE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${GYRE_CCACHE})
endif()
find_program(GYRE_LLD ld.lld-19)
if(GYRE_LLD)
    add_link_options(-fuse-ld=${GYRE_LLD})
endif()

# Frame pointers everywhere: profiles and crash traces walk them.
add_compile_options(-Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Werror=return-type
    -fno-omit-frame-pointer -fvisibility-inlines-hidden -ffp-contract=off)

set(GYRE_SANITIZE "" CACHE STRING "address, thread, fuzz or empty")
if(GYRE_SANITIZE STREQUAL "address")
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
    add_link_options(-fsanitize=address,undefined)
elseif(GYRE_SANITIZE STREQUAL "thread")
    add_compile_options(-fsanitize=thread)
    add_link_options(-fsanitize=thread)
elseif(GYRE_SANITIZE STREQUAL "fuzz")
    add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
    add_link_options(-fsanitize=address,undefined)
endif()
if(GYRE_SANITIZE)
    # clang links no sanitizer runtime into shared libraries: their symbols come from the executable.
    add_compile_definitions(GYRE_SANITIZED=1)
endif()
