#if defined(__x86_64__)
// Integer packings by AVX-512-VNNI's VPDPBUSD.
#include "kernels/cpu/integer_tiles.h"

namespace minke::cpu {

extern const IntegerKernels vnni_integers =
    integer_kernels<4>(multiply_unpacked<1>, multiply_unpacked<2>);

}  // namespace minke::cpu
#endif
