# cmake -DPROGRAM=… -DTABLES=docs/dependencies.md -DVERSION=… -DOUT=… [-DNANOBIND=VERSION] -P sbom.cmake
# A CycloneDX list of what is in the program: what its dynamic section asks for, with the versions that dpkg knows, and the
# headers that docs/dependencies.md names. Without dpkg, versions are missing. Nothing in it depends on the time.
# With NANOBIND the program is the Python module, and has what the table names for the module too.
cmake_minimum_required(VERSION 3.25)

# ---- docs/dependencies.md
file(READ ${TABLES} text)
string(REGEX MATCH "## In the program\n.*\n## To build" text "${text}")
string(REPLACE ";" "," text "${text}")
string(REPLACE "\n" ";" lines "${text}")
set(rows "")
foreach(line IN LISTS lines)
  if(line MATCHES "^\\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ")
    if(NOT CMAKE_MATCH_1 STREQUAL "dependency")
      list(APPEND rows "${CMAKE_MATCH_1}|${CMAKE_MATCH_2}|${CMAKE_MATCH_4}|${CMAKE_MATCH_5}")
    endif()
  endif()
endforeach()
if(NOT rows)
  message(FATAL_ERROR "${TABLES}: has no table under \"In the program\"")
endif()

find_program(DPKG dpkg-query)
find_program(READELF readelf REQUIRED)
execute_process(COMMAND dpkg --print-architecture OUTPUT_VARIABLE architecture OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
set(distribution debian)
if(EXISTS /etc/os-release)
  file(STRINGS /etc/os-release distribution REGEX "^ID=")
  string(REGEX REPLACE "^ID=\"?([^\"]*)\"?$" "\\1" distribution "${distribution}")
endif()

set(components "")
set(references "")
# add(NAME LICENCE FILE PACKAGE [PURL]): FILE is empty for headers; PURL of what is no Debian package.
function(add name licence file package)
  set(reference "${name}")
  set(fields "\"type\": \"library\",\n      \"bom-ref\": \"${reference}\",\n      \"name\": \"${name}\",")
  set(version "")
  if(DPKG AND package)
    execute_process(COMMAND ${DPKG} -W -f "\${Version}" ${package} OUTPUT_VARIABLE version ERROR_QUIET)
  endif()
  if(version)
    string(APPEND fields "\n      \"version\": \"${version}\",")
    string(REPLACE "+" "%2B" encoded "${version}")
    string(REPLACE ":" "%3A" encoded "${encoded}")
    string(REGEX REPLACE ":.*" "" bare "${package}")
    string(REPLACE "+" "%2B" bare "${bare}")
    string(APPEND fields "\n      \"purl\": \"pkg:deb/${distribution}/${bare}@${encoded}?arch=${architecture}\",")
  endif()
  if(ARGN)
    string(APPEND fields "\n      \"purl\": \"${ARGN}\",")
  endif()
  if(file)
    string(APPEND fields "\n      \"description\": \"linked as ${file}\",")
  else()
    string(APPEND fields "\n      \"description\": \"compiled in from its headers\",")
  endif()
  string(APPEND fields "\n      \"licenses\": [{\"expression\": \"${licence}\"}]")
  set(components "${components}${separator}\n    {\n      ${fields}\n    }" PARENT_SCOPE)
  set(references "${references}${reference_separator}\n        \"${reference}\"" PARENT_SCOPE)
  set(separator "," PARENT_SCOPE)
  set(reference_separator "," PARENT_SCOPE)
endfunction()

# ---- what the program asks the loader for
execute_process(COMMAND ${READELF} -d ${PROGRAM} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "Shared library: \\[[^]]*" needed "${dynamic}")
list(TRANSFORM needed REPLACE "Shared library: \\[" "")
list(SORT needed)
foreach(file IN LISTS needed)
  set(found "")
  foreach(row IN LISTS rows)
    string(REPLACE "|" ";" row "${row}")
    list(GET row 3 as)
    string(FIND "${file}" "${as}" at)
    if(at EQUAL 0)
      set(found "${row}")
      break()
    endif()
  endforeach()
  if(NOT found AND NANOBIND)  # pip builds it on any system, whose libraries have names of their own
    message(WARNING "${PROGRAM} is linked to ${file}, and ${TABLES} does not say what that is")
    set(found "${file};;NOASSERTION")
  elseif(NOT found)
    message(FATAL_ERROR "${PROGRAM} is linked to ${file}, and ${TABLES} does not say what that is and why: add a line")
  endif()
  set(package "")
  if(DPKG)
    execute_process(COMMAND ${DPKG} -S "*/${file}" OUTPUT_VARIABLE owners ERROR_QUIET)
    string(REGEX MATCH "^[^ ]+:" package "${owners}")
    string(REGEX REPLACE ":$" "" package "${package}")
  endif()
  list(GET found 0 name)
  list(GET found 2 licence)
  add("${name}" "${licence}" "${file}" "${package}")
endforeach()

# ---- what is compiled in
foreach(row IN LISTS rows)
  string(REPLACE "|" ";" row "${row}")
  list(GET row 3 as)
  list(GET row 0 name)
  list(GET row 1 package)
  list(GET row 2 licence)
  if(as STREQUAL "headers")
    add("${name}" "${licence}" "" "${package}")
  elseif(as STREQUAL "module" AND NANOBIND)
    add("${name}" "${licence}" "" "" "pkg:pypi/nanobind@${NANOBIND}")
  endif()
endforeach()

set(type application)
if(NANOBIND)
  set(type library)
endif()
file(WRITE ${OUT} "{
  \"bomFormat\": \"CycloneDX\",
  \"specVersion\": \"1.5\",
  \"version\": 1,
  \"metadata\": {
    \"component\": {
      \"type\": \"${type}\",
      \"bom-ref\": \"retort\",
      \"name\": \"retort\",
      \"version\": \"${VERSION}\",
      \"licenses\": [{\"expression\": \"Apache-2.0\"}]
    }
  },
  \"components\": [${components}
  ],
  \"dependencies\": [
    {
      \"ref\": \"retort\",
      \"dependsOn\": [${references}
      ]
    }
  ]
}
")
