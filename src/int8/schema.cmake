# The subset of TensorFlow Lite's schema that we read and write, compiled by flatc into the build folder.
set(TFLITE_HEADER ${CMAKE_CURRENT_BINARY_DIR}/int8/tflite_generated.h)
add_custom_command(OUTPUT ${TFLITE_HEADER}
  COMMAND ${FLATC} --cpp --gen-object-api --scoped-enums -o ${CMAKE_CURRENT_BINARY_DIR}/int8
          ${CMAKE_CURRENT_LIST_DIR}/tflite.fbs
  DEPENDS ${CMAKE_CURRENT_LIST_DIR}/tflite.fbs VERBATIM)
target_sources(retort_int8 PRIVATE ${TFLITE_HEADER})
target_include_directories(retort_int8 SYSTEM PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/int8)
add_custom_target(tflite_header DEPENDS ${TFLITE_HEADER})
