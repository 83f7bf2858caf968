#include "kernels/ref/matmul.h"

#include <vector>

#include "kernels/blocks.h"
#include "kernels/packed.h"
#include "kernels/ref/element.h"
#include "kernels/ref/integers.h"

namespace minke::ref {

void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset) {
  for (int64_t n = 0; n < weight.rows(); ++n)
    for (int64_t k = 0; k < weight.columns(); ++k)
      store(packed.storage, packed_index(packed, row_offset + n, k),
            load(weight, n * weight.row_stride() + k));
}

void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset) {
  for (int64_t n = 0; n < weight.rows(); ++n)
    for (int64_t k = 0; k < weight.columns(); ++k)
      store(packed.storage, packed_index(packed, k, inner_offset + n),
            load(weight, n * weight.row_stride() + k));
}

void pack_stored(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset) {
  if (is_integer(packed.packing)) return pack_integers(packed, matrix, row_offset);
  std::vector<float> row(static_cast<size_t>(matrix.columns));
  for (int64_t n = 0; n < matrix.rows; ++n) {
    dequantize_rows(matrix, n, n + 1, row.data());
    for (int64_t k = 0; k < matrix.columns; ++k)
      store(packed.storage, packed_index(packed, row_offset + n, k), row[static_cast<size_t>(k)]);
  }
}

namespace {

void matmul_plain(const Tensor& c, const Tensor& a, const PackedMatrix& b, bool accumulate) {
  for (int64_t m = 0; m < c.rows(); ++m)
    for (int64_t n = 0; n < b.rows; ++n) {
      const int64_t at = m * c.row_stride() + n;
      double sum = accumulate ? load(c, at) : 0.0;
      for (int64_t k = 0; k < b.inner; ++k)
        sum += static_cast<double>(rounded(load(a, m * a.row_stride() + k), b.storage.dtype)) *
               load(b.storage, packed_index(b, n, k));
      store(c, at, static_cast<float>(sum));
    }
}

}  // namespace

void matmul_batched(std::span<const Tensor> c, std::span<const Tensor> a,
                    std::span<const PackedMatrix> b, bool accumulate) {
  for (size_t i = 0; i < b.size(); ++i)
    (is_integer(b[i].packing) ? matmul_integers : matmul_plain)(c[i], a[i], b[i], accumulate);
}

namespace {

float element(const IndexedRows& rows, int64_t r, int64_t column) {
  const int64_t row = rows.index ? rows.index.as<int32_t>()[r] : r;
  return load(rows.tensor, row * rows.tensor.row_stride() + column);
}

}  // namespace

void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const IndexedRows& dy,
                                    const IndexedRows& x, std::span<const int64_t> offsets,
                                    bool accumulate) {
  for (size_t g = 0; g < dw.size(); ++g)
    for (int64_t n = 0; n < dw[g].rows(); ++n)
      for (int64_t k = 0; k < dw[g].columns(); ++k) {
        const int64_t at = n * dw[g].row_stride() + k;
        double sum = accumulate ? load(dw[g], at) : 0.0;
        for (int64_t m = offsets[g]; m < offsets[g + 1]; ++m)
          sum += static_cast<double>(element(dy, m, n)) * element(x, m, k);
        store(dw[g], at, static_cast<float>(sum));
      }
}

}  // namespace minke::ref
