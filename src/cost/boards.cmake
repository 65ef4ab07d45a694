# The built-in boards' text, as a header in the build folder. Whoever edits it gets it at the next build.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/boards.toml)
file(READ ${CMAKE_CURRENT_LIST_DIR}/boards.toml BOARDS_TOML)
set(BOARDS_HEADER ${CMAKE_CURRENT_BINARY_DIR}/cost/boards_toml.h)
file(CONFIGURE OUTPUT ${BOARDS_HEADER} @ONLY
     CONTENT "constexpr std::string_view kBuiltinBoards = R\"toml(@BOARDS_TOML@)toml\";\n")
target_include_directories(retort_cost PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/cost)
target_include_directories(retort_cost SYSTEM PRIVATE ${TOMLPLUSPLUS_INCLUDE_DIR})
