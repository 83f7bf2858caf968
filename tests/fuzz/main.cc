// A libFuzzer program for the target that MINKE_FUZZ_TARGET names.

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const minke::fuzz::Target& target : minke::fuzz::targets())
    if (target.name == MINKE_FUZZ_TARGET) target.read({data, size});
  return 0;
}
