# gyre_game_module(NAME [SOURCES files...] [TESTS files...] [DEPENDS engine-modules...] [LINKS libraries...])
#
# Game code that a node loads and replaces while it runs: lib/gyre/modules/NAME.so in the build folder.
# Without SOURCES: every *.cpp beside the CMakeLists.txt; *_test.cpp become the test NAME_test.
# A module exports one symbol, gyre_module, and needs none but the engine's: what is missing is a link error,
# and nothing of it stays behind when it is replaced.
set(GYRE_GAME_MODULE_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/gyre_game_module.map)

# The include of game code, compiled once for all modules of a project. A sanitizer build does without, so
# a file that forgets an include is found.
set(GYRE_GAME_MODULE_HEADER gyre/module/gyre.hpp)
function(gyre_game_module_precompile target)
    if(GYRE_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        return()
    endif()
    if(NOT TARGET gyre_game_pch)
        file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/gyre_game_pch.cpp CONTENT "")
        add_library(gyre_game_pch OBJECT ${CMAKE_BINARY_DIR}/gyre_game_pch.cpp)
        target_link_libraries(gyre_game_pch PRIVATE gyre::gyre)
        target_precompile_headers(gyre_game_pch PRIVATE <${GYRE_GAME_MODULE_HEADER}>)
        target_compile_options(gyre_game_pch PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
        set_target_properties(gyre_game_pch PROPERTIES POSITION_INDEPENDENT_CODE ON
            CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    endif()
    target_precompile_headers(${target} REUSE_FROM gyre_game_pch)
endfunction()

function(gyre_game_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;TESTS;DEPENDS;LINKS" ${ARGN})
    if(NOT arg_SOURCES)
        file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
        set(arg_TESTS ${arg_SOURCES})
        list(FILTER arg_TESTS INCLUDE REGEX "_test\\.cpp$")
        list(FILTER arg_SOURCES EXCLUDE REGEX "_(test|bench|fuzz)\\.cpp$")
    endif()
    set(target ${name}_module)
    add_library(${target} MODULE ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE gyre::gyre ${arg_LINKS})
    target_link_options(${target} PRIVATE -Wl,--version-script=${GYRE_GAME_MODULE_EXPORTS} -Wl,--build-id)
    if(NOT GYRE_SANITIZE)
        target_link_options(${target} PRIVATE -Wl,-z,defs)
    endif()
    set_target_properties(${target} PROPERTIES
        PREFIX "" OUTPUT_NAME ${name}
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/gyre/modules
        LINK_DEPENDS ${GYRE_GAME_MODULE_EXPORTS}
        CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
        INSTALL_RPATH "$ORIGIN/../..")
    gyre_game_module_precompile(${target})
    install(TARGETS ${target} LIBRARY DESTINATION lib/gyre/modules)
    if(TARGET gyre_up)
        add_dependencies(gyre_up ${target})
    endif()
    if(COMMAND gyre_test AND GYRE_BUILD_TESTS)
        add_test(NAME ${name}_module_check COMMAND gyre_cli module check $<TARGET_FILE:${target}>)
        set_tests_properties(${name}_module_check PROPERTIES LABELS ${name} TIMEOUT 60)
        if(arg_TESTS)
            gyre_test(${name}_test LABEL ${name} unit SOURCES ${arg_TESTS} ${arg_SOURCES} LINKS ${arg_LINKS})
        endif()
    endif()
endfunction()

# gyre_bots_module(NAME [SOURCES files...] [LINKS libraries...])
#
# Players for `gyre bots --module NAME`: lib/gyre/modules/NAME.so, which exports one constant, gyre_bots
# (gyre_sdk/bots.hpp). SOURCES and tests as above.
function(gyre_bots_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
    set(tests "")
    if(NOT arg_SOURCES)
        file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
        set(tests ${arg_SOURCES})
        list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
        list(FILTER arg_SOURCES EXCLUDE REGEX "_(test|bench|fuzz)\\.cpp$")
    endif()
    set(target ${name}_module)
    add_library(${target} MODULE ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE gyre::client ${arg_LINKS})
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,--build-id)
    if(NOT GYRE_SANITIZE)
        target_link_options(${target} PRIVATE -Wl,-z,defs)
    endif()
    set_target_properties(${target} PROPERTIES
        PREFIX "" OUTPUT_NAME ${name}
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/gyre/modules
        CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
        INSTALL_RPATH "$ORIGIN/../..")
    install(TARGETS ${target} LIBRARY DESTINATION lib/gyre/modules)
    if(TARGET gyre_up)
        add_dependencies(gyre_up ${target})
    endif()
    if(tests AND COMMAND gyre_test AND GYRE_BUILD_TESTS)
        gyre_test(${name}_test LABEL ${name} unit SOURCES ${tests} ${arg_SOURCES} LINKS gyre::client ${arg_LINKS})
    endif()
endfunction()
