# Links each library of llama.cpp with the version resource that is named after its target, once all targets are known.
# LOCALAI_RESOURCES is the folder of these files (tools/package/engine_resources.py); one without a target ends the build.
function(localai_link_resources)
  file(GLOB resources "${LOCALAI_RESOURCES}/*.res")
  foreach(resource IN LISTS resources)
    cmake_path(GET resource STEM LAST_ONLY target)
    target_link_options(${target} PRIVATE "${resource}")
  endforeach()
endfunction()

cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL localai_link_resources)
