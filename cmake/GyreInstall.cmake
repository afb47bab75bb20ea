# cmake --install: the engine's library and headers, the command, the shipped modules, and find_package(gyre CONFIG).
include(CMakePackageConfigHelpers)

install(TARGETS gyre EXPORT gyreTargets LIBRARY DESTINATION lib INCLUDES DESTINATION include)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/engine/ DESTINATION include/gyre
    FILES_MATCHING PATTERN "*.hpp" PATTERN "*_test.hpp" EXCLUDE)
install(EXPORT gyreTargets NAMESPACE gyre:: DESTINATION lib/cmake/gyre)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/GyreConfig.cmake.in
    ${CMAKE_BINARY_DIR}/gyreConfig.cmake INSTALL_DESTINATION lib/cmake/gyre)
# Before 1.0 a minor version may change the interface of game modules.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/gyreConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/gyreConfig.cmake ${CMAKE_BINARY_DIR}/gyreConfigVersion.cmake
    ${PROJECT_SOURCE_DIR}/cmake/GyreCompiler.cmake ${PROJECT_SOURCE_DIR}/cmake/GyreGameModule.cmake
    ${PROJECT_SOURCE_DIR}/cmake/gyre_game_module.map
    DESTINATION lib/cmake/gyre)
