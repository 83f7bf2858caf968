# Compiler flags, ccache and mold where present, sanitizers by MINKE_SANITIZE.
add_compile_options(-Wall -Wextra -Wpedantic -Wno-sign-compare -fno-math-errno -ffp-contract=off)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

set(MINKE_SANITIZE "" CACHE STRING "sanitizers to build with, for instance address,undefined")
if(MINKE_SANITIZE)
  # Little optimisation and few symbols, as such builds are slow.
  add_compile_options(-fsanitize=${MINKE_SANITIZE} -fno-omit-frame-pointer -O1 -g1)
  add_link_options(-fsanitize=${MINKE_SANITIZE})
endif()

option(MINKE_FUZZ "build the fuzzers of tests/fuzz (clang only)" OFF)
if(MINKE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "MINKE_FUZZ needs clang: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
