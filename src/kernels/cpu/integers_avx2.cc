#if defined(__x86_64__)
// Integer packings on AVX2.
#include "kernels/cpu/integer_product.h"

namespace minke::cpu {

extern const IntegerKernels avx2_integers = integer_kernels<4>();

}  // namespace minke::cpu
#endif
