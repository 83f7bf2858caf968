#include "kernels/cpu/features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#endif

namespace minke::cpu {
namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool has(unsigned value, int bit) { return (value >> bit) & 1; }

// The register states that the operating system saves (XCR0).
uint64_t saved_states() {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux enables AMX's tile registers only for a process that asks.
bool request_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

Features detect() {
  Features f;
  const Registers basic = cpuid(1, 0), extended = cpuid(7, 0), more = cpuid(7, 1);
  if (!has(basic.ecx, 27)) return f;  // no OSXSAVE: no vector state beyond SSE
  const uint64_t states = saved_states();
  const bool ymm = (states & 0x06) == 0x06, zmm = (states & 0xe6) == 0xe6;
  const bool tiles = (states & 0x60000) == 0x60000;
  f.avx2 = ymm && has(basic.ecx, 12) && has(basic.ecx, 29) && has(extended.ebx, 5);
  f.avx512 = f.avx2 && zmm && has(extended.ebx, 16) && has(extended.ebx, 17) &&
             has(extended.ebx, 30) && has(extended.ebx, 31);
  f.avx512_vnni = f.avx512 && has(extended.ecx, 11);
  f.avx512_bf16 = f.avx512 && has(more.eax, 5);
  f.amx = f.avx512_bf16 && tiles && has(extended.edx, 22) && has(extended.edx, 24) &&
          has(extended.edx, 25) && request_tiles();
  return f;
}

#else

Features detect() { return {}; }

#endif

}  // namespace

const Features& features() {
  static const Features instance = detect();
  return instance;
}

}  // namespace minke::cpu
