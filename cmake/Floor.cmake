# minke_floor(NAME DEPENDS other floors... LIBRARIES external libraries...)
# One folder of src/ is one static library, minke_NAME, of every .cc file in it; its x_test.cc files
# become one test program, NAME_test. A file whose name ends in an instruction set (x_avx2.cc) is
# compiled for that set, and chosen at run time.
find_package(GTest REQUIRED)
include(GoogleTest)

set(MINKE_ISAS "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(MINKE_ISAS avx2 avx512 vnni bf16 amx)  # elsewhere such files compile to nothing
endif()
set(MINKE_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(MINKE_FLAGS_avx512 ${MINKE_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
set(MINKE_FLAGS_vnni ${MINKE_FLAGS_avx512} -mavx512vnni)
set(MINKE_FLAGS_bf16 ${MINKE_FLAGS_avx512} -mavx512bf16)
set(MINKE_FLAGS_amx ${MINKE_FLAGS_bf16} -mamx-tile -mamx-bf16 -mamx-int8)

# Registers the tests of a program with CTest. Those of suites named ...Slow carry the label "slow".
function(minke_register_tests PROGRAM)
  gtest_discover_tests(${PROGRAM} DISCOVERY_TIMEOUT 60 TEST_FILTER "-*Slow.*" TEST_LIST ${PROGRAM}_quick)
  gtest_discover_tests(${PROGRAM} DISCOVERY_TIMEOUT 60 TEST_FILTER "*Slow.*" TEST_LIST ${PROGRAM}_slow
                       PROPERTIES LABELS slow)
endfunction()

function(minke_floor NAME)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  foreach(isa ${MINKE_ISAS})
    set(matching ${sources})
    list(FILTER matching INCLUDE REGEX "_${isa}\\.cc$")
    set_source_files_properties(${matching} PROPERTIES COMPILE_OPTIONS "${MINKE_FLAGS_${isa}}")
  endforeach()

  list(TRANSFORM ARG_DEPENDS PREPEND minke_)
  add_library(minke_${NAME} STATIC ${sources})
  target_include_directories(minke_${NAME} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(minke_${NAME} PUBLIC ${ARG_DEPENDS} ${ARG_LIBRARIES})
  if(tests)
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE minke_${NAME} GTest::gtest_main)
    target_compile_definitions(${NAME}_test PRIVATE MINKE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    minke_register_tests(${NAME}_test)
  endif()
endfunction()
