# `cmake --install` gives the program, the library with its headers, and find_package(Retort).
include(CMakePackageConfigHelpers)
install(TARGETS retort RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${RETORT_LIBRARIES} libretort EXPORT RetortTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/retort FILES_MATCHING PATTERN "*.h"
        PATTERN "cli" EXCLUDE)
install(EXPORT RetortTargets NAMESPACE Retort:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Retort)
configure_package_config_file(cmake/RetortConfig.cmake.in RetortConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Retort)
write_basic_package_version_file(RetortConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/FindRetortDnnl.cmake ${CMAKE_CURRENT_BINARY_DIR}/RetortConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/RetortConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Retort)
set(retort_documents ${CMAKE_CURRENT_BINARY_DIR}/src/cli/documents)
install(DIRECTORY ${retort_documents}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${retort_documents}/bash/retort DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${retort_documents}/zsh/_retort DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${retort_documents}/fish/retort.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
