// Integer packings by plain C++.
#include "kernels/cpu/integer_rows.h"

namespace minke::cpu {

extern const IntegerKernels portable_integers = integer_kernels<2>();
extern const StoredKernels portable_stored = stored_kernels();

}  // namespace minke::cpu
