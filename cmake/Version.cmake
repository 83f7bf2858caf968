# Run at every build: writes OUTPUT from INPUT with the commit that SOURCE_DIR stands at, and leaves the
# file alone when that has not changed.
execute_process(COMMAND git -c safe.directory=${SOURCE_DIR} describe --always --dirty --tags --abbrev=12 WORKING_DIRECTORY ${SOURCE_DIR}
                OUTPUT_VARIABLE MINKE_CODE_VERSION OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT MINKE_CODE_VERSION)
  set(MINKE_CODE_VERSION unknown)
endif()
configure_file(${INPUT} ${OUTPUT} @ONLY)
