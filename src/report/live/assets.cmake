# The live page's style and script as strings in the build folder. Whoever edits them gets them at the next build.
foreach(asset css js)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/live.${asset})
  file(READ ${CMAKE_CURRENT_LIST_DIR}/live.${asset} LIVE_${asset})
endforeach()
set(LIVE_ASSETS ${CMAKE_CURRENT_BINARY_DIR}/report)
file(CONFIGURE OUTPUT ${LIVE_ASSETS}/live_assets.h @ONLY
     CONTENT "constexpr std::string_view kLiveStyle = R\"asset(@LIVE_css@)asset\";
constexpr std::string_view kLiveScript = R\"asset(@LIVE_js@)asset\";
")
target_include_directories(retort_report PRIVATE ${LIVE_ASSETS})
