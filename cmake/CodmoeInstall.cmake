# Installs headers, libraries, programs and the package that find_package(codmoe) reads.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(codmoe_modules GLOBAL PROPERTY codmoe_modules)
get_property(codmoe_programs GLOBAL PROPERTY codmoe_programs)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/codmoe")

codmoe_targets(libraries ${codmoe_modules})
install(TARGETS ${libraries} EXPORT codmoeTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT codmoeTargets NAMESPACE codmoe:: DESTINATION "${package_dir}")
install(DIRECTORY include/codmoe DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(codmoe_programs)
  install(TARGETS ${codmoe_programs})
endif()

configure_package_config_file(cmake/codmoeConfig.cmake.in codmoeConfig.cmake INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(codmoeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/codmoeConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/codmoeConfigVersion.cmake"
              cmake/CodmoeDependencies.cmake cmake/FindLibTorch.cmake DESTINATION "${package_dir}")
