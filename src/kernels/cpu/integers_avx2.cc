#if defined(__x86_64__)
// Integer packings on AVX2.
#include "kernels/cpu/integer_rows.h"

namespace minke::cpu {

extern const IntegerKernels avx2_integers = integer_kernels<4>();
extern const StoredKernels avx2_stored = stored_kernels();

}  // namespace minke::cpu
#endif
