#pragma once
// The scalar truth of integer packings: how kernels/packed.h lays out a block format's integers,
// and the arithmetic that kernels/matmul.h defines. Arguments are checked by the caller.

#include "kernels/matmul.h"

namespace minke::ref {

void pack_integers(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset);
void matmul_integers(const Tensor& c, const Tensor& a, const PackedMatrix& b, bool accumulate);

}  // namespace minke::ref
