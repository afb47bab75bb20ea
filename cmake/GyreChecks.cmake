# Rules of the repository that are checked like tests: ctest -L check. They need no build.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(tools ${PROJECT_SOURCE_DIR}/tools)
add_test(NAME check_arrows COMMAND Python3::Interpreter ${tools}/check_arrows.py ${PROJECT_SOURCE_DIR})
add_test(NAME check_arrows_test COMMAND Python3::Interpreter ${tools}/check_arrows_test.py)
add_test(NAME bench_test COMMAND Python3::Interpreter ${tools}/bench_test.py)
add_test(NAME check_docs COMMAND Python3::Interpreter ${tools}/check_docs.py ${PROJECT_SOURCE_DIR})
add_test(NAME check_docs_test COMMAND Python3::Interpreter ${tools}/check_docs_test.py)
add_test(NAME rudp_test COMMAND Python3::Interpreter ${tools}/rudp_test.py)

# A broken compiler is refused with the reason; the second test asks the compiler itself where there is one.
add_test(NAME refuses_gcc_12 COMMAND ${CMAKE_COMMAND}
    -DCMAKE_CXX_COMPILER_ID=GNU -DCMAKE_CXX_COMPILER_VERSION=12.2.0 -P ${PROJECT_SOURCE_DIR}/cmake/GyreCompiler.cmake)
set(refusals refuses_gcc_12)
find_program(GYRE_GXX_12 NAMES g++-12)
if(GYRE_GXX_12)
    add_test(NAME refuses_this_gcc_12 COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR}
        -B ${CMAKE_BINARY_DIR}/refused -G Ninja --fresh -DCMAKE_CXX_COMPILER=${GYRE_GXX_12})
    list(APPEND refusals refuses_this_gcc_12)
endif()
set_tests_properties(${refusals} PROPERTIES PASS_REGULAR_EXPRESSION "miscompiles[ \n]+coroutines[ \n]+silently")
set_tests_properties(check_arrows check_arrows_test bench_test check_docs check_docs_test rudp_test ${refusals} PROPERTIES LABELS check TIMEOUT 60)

# A project outside of this repository installs Gyre, finds it and loads the module it built.
if(NOT GYRE_SANITIZE)
    add_test(NAME package_test COMMAND ${CMAKE_COMMAND} -DBUILD=${CMAKE_BINARY_DIR} -DCOMPILER=${CMAKE_CXX_COMPILER}
        -P ${PROJECT_SOURCE_DIR}/cmake/package_test/run.cmake)
    set_tests_properties(package_test PROPERTIES LABELS package TIMEOUT 300)
endif()

# What docs/logging.md shows.
gyre_test(watch_test LABEL docs unit SOURCES ${PROJECT_SOURCE_DIR}/docs/examples/watch/watch_test.cpp)

# The game that docs/writing-a-game.md shows.
set(duel ${PROJECT_SOURCE_DIR}/docs/examples/duel)
gyre_test(duel_test LABEL docs unit LINKS gyre_match SOURCES ${duel}/duel.cpp ${duel}/duel_test.cpp ${duel}/migrate_test.cpp)
add_executable(duel_play ${duel}/play.cpp)
target_link_libraries(duel_play PRIVATE gyre_client gyre_services)
