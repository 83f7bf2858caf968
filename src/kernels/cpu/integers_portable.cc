// Integer packings by plain C++.
#include "kernels/cpu/integer_product.h"

namespace minke::cpu {

extern const IntegerKernels portable_integers = integer_kernels<2>();

}  // namespace minke::cpu
