# `cmake --install` gives the program with its pages, the library with its headers, find_package(Retort), pkg-config's
# retort and the examples. Two components, as two Debian packages: program and development.
include(CMakePackageConfigHelpers)
install(TARGETS retort RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
set(retort_documents ${CMAKE_CURRENT_BINARY_DIR}/src/cli/documents)
install(DIRECTORY ${retort_documents}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT program)
install(FILES ${retort_documents}/bash/retort DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        COMPONENT program)
# Where zsh looks for what Debian's packages bring, or for what the system's owner installs. Which of them this is, is known
# when it is installed: a package is made of a build that was configured for another place, in a folder that ends as its own.
install(CODE "
  set(place site-functions)
  if(CMAKE_INSTALL_PREFIX MATCHES \"/usr\$\")
    set(place vendor-completions)
  endif()
  file(INSTALL \"${retort_documents}/zsh/_retort\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/zsh/\${place}\")"
  COMPONENT program)
install(FILES ${retort_documents}/fish/retort.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
        COMPONENT program)
# What the program is made of, from what is linked.
set(retort_sbom ${CMAKE_CURRENT_BINARY_DIR}/sbom.cdx.json)
add_custom_command(OUTPUT ${retort_sbom} DEPENDS retort docs/dependencies.md cmake/sbom.cmake
  COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:retort> -DTABLES=${CMAKE_CURRENT_SOURCE_DIR}/docs/dependencies.md
          -DVERSION=${PROJECT_VERSION} -DOUT=${retort_sbom} -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/sbom.cmake
  COMMENT "Listing what retort is made of" VERBATIM)
if(RETORT_SANITIZE)  # nobody installs that, and a sanitizer's runtime is no part of the program
  add_custom_target(sbom DEPENDS ${retort_sbom})
else()
  add_custom_target(sbom ALL DEPENDS ${retort_sbom})
endif()
install(FILES ${retort_sbom} OPTIONAL DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/retort COMPONENT program)
install(FILES LICENSE README.md CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/retort COMPONENT program)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/retort/docs COMPONENT program)

set(retort_cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Retort)
install(TARGETS ${RETORT_LIBRARIES} libretort EXPORT RetortTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/retort COMPONENT development FILES_MATCHING PATTERN "*.h"
        PATTERN "cli" EXCLUDE)
install(EXPORT RetortTargets NAMESPACE Retort:: DESTINATION ${retort_cmake_folder} COMPONENT development)
configure_package_config_file(cmake/RetortConfig.cmake.in RetortConfig.cmake INSTALL_DESTINATION ${retort_cmake_folder})
write_basic_package_version_file(RetortConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/FindRetortDnnl.cmake ${CMAKE_CURRENT_BINARY_DIR}/RetortConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/RetortConfigVersion.cmake
        DESTINATION ${retort_cmake_folder} COMPONENT development)
list(TRANSFORM RETORT_LIBRARIES PREPEND -l OUTPUT_VARIABLE retort_link)
list(JOIN retort_link " " retort_link)
# The prefix is known when it is installed: pkg-config finds it from where the file lies.
file(RELATIVE_PATH retort_up ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(retort_prefix "\${pcfiledir}/${retort_up}")
configure_file(cmake/retort.pc.in retort.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/retort.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libretort-dev COMPONENT development)
