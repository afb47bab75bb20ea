# cmake -DBUILD=build/release -DCOMPILER=clang++-19 -P run.cmake
set(work ${BUILD}/package_test)
file(REMOVE_RECURSE ${work})
# The arena by itself, as a studio's game would be: nothing else of the repository beside it.
file(COPY ${CMAKE_CURRENT_LIST_DIR}/../../games/arena DESTINATION ${work}/studio/games)
set(found -DCMAKE_PREFIX_PATH=${work}/prefix -DCMAKE_CXX_COMPILER=${COMPILER})
foreach(step
        "${CMAKE_COMMAND};--install;${BUILD};--prefix;${work}/prefix"
        "${CMAKE_COMMAND};-S;${CMAKE_CURRENT_LIST_DIR};-B;${work}/build;-G;Ninja;${found}"
        "${CMAKE_COMMAND};--build;${work}/build"
        "${work}/build/host;${work}/build/lib/gyre/modules/sample.so;sample;1"
        "${CMAKE_COMMAND};-S;${work}/studio/games/arena;-B;${work}/arena;-G;Ninja;${found}"
        "${CMAKE_COMMAND};--build;${work}/arena"
        "${work}/build/host;${work}/arena/lib/gyre/modules/arena.so;arena;2")
    execute_process(COMMAND ${step} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${step}: ${status}\n${output}")
    endif()
endforeach()
message(STATUS "package works")
