#if defined(__x86_64__)
// Integer packings by products of 16 bits, on AVX-512 without VNNI.
#include "kernels/cpu/integer_tiles.h"

namespace minke::cpu {

extern const IntegerKernels avx512_integers =
    integer_kernels<4>(multiply_unpacked<1>, multiply_unpacked<2>);

}  // namespace minke::cpu
#endif
