# Copies the small shared libraries that the files of a folder need into that folder. cmake -D FOLDER=… -P bundle.cmake
file(GLOB programs "${FOLDER}/codmoe-*")
file(GLOB modules "${FOLDER}/libcodmoe_*.so")
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${programs} LIBRARIES ${modules}
  RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
  PRE_INCLUDE_REGEXES "^lib(spdlog|fmt|yaml-cpp|png16|jpeg)\\.so" PRE_EXCLUDE_REGEXES ".*")
if(missing)
  message(FATAL_ERROR "not found: ${missing}")
endif()
file(COPY ${found} DESTINATION "${FOLDER}" FOLLOW_SYMLINK_CHAIN)
