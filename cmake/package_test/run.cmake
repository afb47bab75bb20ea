# cmake -DBUILD=build/release -DCOMPILER=clang++-19 -P run.cmake
set(work ${BUILD}/package_test)
file(REMOVE_RECURSE ${work})
foreach(step
        "${CMAKE_COMMAND};--install;${BUILD};--prefix;${work}/prefix"
        "${CMAKE_COMMAND};-S;${CMAKE_CURRENT_LIST_DIR};-B;${work}/build;-G;Ninja;-DCMAKE_PREFIX_PATH=${work}/prefix;-DCMAKE_CXX_COMPILER=${COMPILER}"
        "${CMAKE_COMMAND};--build;${work}/build"
        "${work}/build/host;${work}/build/lib/gyre/modules/sample.so")
    execute_process(COMMAND ${step} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${step}: ${status}\n${output}")
    endif()
endforeach()
message(STATUS "package works")
