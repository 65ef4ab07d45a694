# Warnings are errors in our own code; third-party headers are included as system headers. By default only with the
# compilers that we build with: another may warn of more, which must not keep anyone from building.
set(retort_warnings_are_errors OFF)
if(PROJECT_IS_TOP_LEVEL AND
   ((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13) OR
    (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 20)))
  set(retort_warnings_are_errors ON)
endif()
option(RETORT_WERROR "Warnings are errors" ${retort_warnings_are_errors})
add_library(retort_options INTERFACE)
target_compile_options(retort_options INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -ffp-contract=off $<$<BOOL:${RETORT_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these inside the standard library's own inlined code.
  target_compile_options(retort_options INTERFACE
    -Wno-error=maybe-uninitialized -Wno-error=array-bounds -Wno-error=stringop-overflow
    -Wno-error=stringop-overread -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12's stable_sort calls what it deprecates itself, which clang reports where we instantiate it.
  target_compile_options(retort_options INTERFACE -Wno-error=deprecated-declarations)
endif()
if(RETORT_SANITIZE)
  set(retort_sanitizers -fsanitize=${RETORT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(RETORT_FUZZ)
    # Every object reports what it covers; fuzz/ alone links libFuzzer's main(). Hardly any target computes: the engine is compiled as
    # quickly as it goes, for one kind of CPU. What reads foreign bytes in it is a source of its target (fuzz/CMakeLists.txt).
    set(is_engine $<STREQUAL:$<TARGET_PROPERTY:NAME>,retort_engine>)
    list(APPEND retort_sanitizers -fsanitize=fuzzer-no-link)
    set(retort_sanitizers "$<${is_engine}:-O0>" "$<$<NOT:${is_engine}>:${retort_sanitizers}>")
    target_link_options(retort_options INTERFACE -fsanitize=fuzzer-no-link)
    target_compile_definitions(retort_options INTERFACE _GLIBCXX_ASSERTIONS $<${is_engine}:HWY_COMPILE_ONLY_STATIC>)
  endif()
  target_compile_options(retort_options INTERFACE ${retort_sanitizers})
  if(NOT RETORT_FUZZ)
    # Without optimisation a sanitized build takes half as long; the rooms that compute are worth it, or their tests take longer.
    foreach(room engine int8 data)
      target_compile_options(retort_options INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:NAME>,retort_${room}>:-O1>)
    endforeach()
  endif()
  target_link_options(retort_options INTERFACE -fsanitize=${RETORT_SANITIZE})
  target_compile_definitions(retort_options INTERFACE RETORT_SANITIZED)
endif()

# retort_precompile(TARGET [HEADER…]): compiles what most files include once a target, and these headers, which takes two fifths
# of a sanitized build away. The other builds do without, so that each file shows that it includes what it needs.
function(retort_precompile target)
  if(NOT RETORT_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    return()
  endif()
  target_precompile_headers(${target} PRIVATE
    <algorithm> <array> <atomic> <chrono> <cmath> <condition_variable> <filesystem> <fstream> <functional> <map> <memory> <mutex>
    <numeric> <optional> <set> <span> <stop_token> <string> <string_view> <thread> <tuple> <utility> <variant> <vector>
    <fmt/format.h> ${PROJECT_SOURCE_DIR}/src/base/json.h ${ARGN})
  target_compile_options(${target} PRIVATE -Xclang -fno-pch-timestamp)  # for ccache
endfunction()
