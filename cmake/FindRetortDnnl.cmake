# oneDNN as the imported target DNNL::dnnl. The distribution's own package file asks for OpenCL's development files, which
# the CPU engine does not need.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(DNNL_LIBRARY dnnl)
if(DNNL_INCLUDE_DIR)
  file(STRINGS ${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h lines REGEX "#define DNNL_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE "[^0-9;]" "" lines "${lines}")
  list(JOIN lines . RetortDnnl_VERSION)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(RetortDnnl
  REQUIRED_VARS DNNL_LIBRARY DNNL_INCLUDE_DIR VERSION_VAR RetortDnnl_VERSION HANDLE_VERSION_RANGE
  REASON_FAILURE_MESSAGE "Retort needs oneDNN 2.6 or 2.7, and oneDNN 3 (Ubuntu 24.04) has another interface. Build 2.7 from \
github.com/oneapi-src/oneDNN (tag v2.7.5), install it into a folder, and name that in CMAKE_PREFIX_PATH")
if(RetortDnnl_FOUND AND NOT TARGET DNNL::dnnl)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE_DIR})
endif()
mark_as_advanced(DNNL_INCLUDE_DIR DNNL_LIBRARY)
