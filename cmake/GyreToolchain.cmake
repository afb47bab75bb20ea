include(${CMAKE_CURRENT_LIST_DIR}/GyreCompiler.cmake)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")

find_program(GYRE_CCACHE ccache)
if(GYRE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # ccache serves files that use a precompiled header only when told that this is safe.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${GYRE_CCACHE})
endif()
find_program(GYRE_LLD ld.lld-19)
if(GYRE_LLD)
    add_link_options(-fuse-ld=${GYRE_LLD})
endif()

# Frame pointers everywhere: profiles and crash traces walk them.
add_compile_options(-Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Werror=return-type -Wno-missing-designated-field-initializers
    -fno-omit-frame-pointer -fvisibility-inlines-hidden -ffp-contract=off
    # Error::where(), stacks and debuggers say engine/net/x.cpp on every machine.
    -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/= -fdebug-prefix-map=${CMAKE_SOURCE_DIR}/=)

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

# Without it under the sanitizers: there a file that forgets an include fails.
set(GYRE_PCH ON)
if(GYRE_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    set(GYRE_PCH OFF)
else()
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
endif()
