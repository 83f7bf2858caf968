#if defined(__x86_64__)
// Integer packings by products of 16 bits, on AVX2.
#include "kernels/cpu/integer_product.h"

namespace minke::cpu {

extern const IntegerKernels avx2_integers = integer_kernels<2>();

}  // namespace minke::cpu
#endif
