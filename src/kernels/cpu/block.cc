#include "kernels/cpu/block.h"

#include "kernels/isa.h"

namespace minke::cpu {

#if defined(__x86_64__)

namespace {

Kernels with_bf16_product(void (*multiply)(const Product&)) {
  Kernels k = avx512_kernels;
  k.multiply_bf16 = multiply;
  k.bf16_products = true;
  return k;
}

Kernels with_tiles() {
  Kernels k = with_bf16_product(multiply_amx);
  k.bf16_unit = 32;
  k.bf16_rows_contiguous = true;
  return k;
}

}  // namespace

const Kernels& kernels() {
  static const Kernels bf16 = with_bf16_product(multiply_avx512_bf16), amx = with_tiles();
  switch (active_isa()) {
    case Isa::amx:
      return amx;
    case Isa::avx512_bf16:
      return bf16;
    case Isa::avx512:
      return avx512_kernels;
    case Isa::avx2:
      return avx2_kernels;
    default:
      return portable_kernels;
  }
}

#else

const Kernels& kernels() { return portable_kernels; }

#endif

}  // namespace minke::cpu
