#if defined(__x86_64__)
// Integer packings by AVX-512-VNNI's VPDPBUSD.
#include "kernels/cpu/integer_product.h"

namespace minke::cpu {

extern const IntegerKernels vnni_integers = integer_kernels<8>();

}  // namespace minke::cpu
#endif
