# The C kernels and the packages' other texts of deploy/runtime as strings in the program: they are compiled where they
# are exported to. With them the licence, which goes with every package.
file(GLOB RETORT_RUNTIME CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/runtime/*)
list(APPEND RETORT_RUNTIME ${PROJECT_SOURCE_DIR}/LICENSE)
set(RUNTIME_SOURCE ${CMAKE_CURRENT_BINARY_DIR}/deploy/runtime_text.cpp)
add_custom_command(OUTPUT ${RUNTIME_SOURCE}
  COMMAND ${CMAKE_COMMAND} -DOUT=${RUNTIME_SOURCE} "-DFILES=${RETORT_RUNTIME}" -P ${CMAKE_CURRENT_LIST_DIR}/embed.cmake
  DEPENDS ${RETORT_RUNTIME} ${CMAKE_CURRENT_LIST_DIR}/embed.cmake VERBATIM)
target_sources(retort_deploy PRIVATE ${RUNTIME_SOURCE})
