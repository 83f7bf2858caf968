#pragma once
// What the CPU and the operating system let this process execute.

namespace minke::cpu {

struct Features {
  bool avx2 = false;         // with FMA and F16C
  bool avx512 = false;       // F, BW, DQ, VL
  bool avx512_vnni = false;  // with avx512
  bool avx512_bf16 = false;  // with avx512
  bool amx = false;          // tiles, bf16 and int8, with avx512_bf16; permission has been granted
};

// Read once, on first use (asking the kernel for AMX's permission). Thread-safe.
const Features& features();

}  // namespace minke::cpu
