# Copies the small shared libraries that the files of a folder need into that folder. cmake -D FOLDER=… -P bundle.cmake
foreach(name spdlog fmt yaml-cpp png16 jpeg)  # of an earlier call: two of one name would be a conflict
  file(GLOB earlier "${FOLDER}/lib${name}.so*")
  if(earlier)  # CMake 3.25's file(REMOVE) wants at least one file
    file(REMOVE ${earlier})
  endif()
endforeach()
file(GLOB programs "${FOLDER}/codmoe-*")
file(GLOB modules "${FOLDER}/libcodmoe_*.so")
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${programs} LIBRARIES ${modules}
  RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
  PRE_INCLUDE_REGEXES "^lib(spdlog|fmt|yaml-cpp|png16|jpeg)\\.so" PRE_EXCLUDE_REGEXES ".*")
if(missing)
  message(FATAL_ERROR "not found: ${missing}")
endif()
foreach(library IN LISTS found)
  get_filename_component(name "${library}" NAME)
  file(REAL_PATH "${library}" content)
  file(COPY_FILE "${content}" "${FOLDER}/${name}" ONLY_IF_DIFFERENT)
endforeach()
