#if defined(__x86_64__)
// Integer packings by products of 16 bits, on AVX-512 without VNNI.
#include "kernels/cpu/integer_product.h"

namespace minke::cpu {

extern const IntegerKernels avx512_integers = integer_kernels<8>();

}  // namespace minke::cpu
#endif
