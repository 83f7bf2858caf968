#include "kernels/ref/matmul.h"

#include "kernels/packed.h"
#include "kernels/ref/element.h"

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

void matmul_grouped(const Tensor& c, const Tensor& a, std::span<const PackedMatrix> b,
                    std::span<const int64_t> offsets, bool accumulate) {
  for (size_t g = 0; g < b.size(); ++g)
    for (int64_t m = offsets[g]; m < offsets[g + 1]; ++m)
      for (int64_t n = 0; n < b[g].rows; ++n) {
        const int64_t at = m * c.row_stride() + n;
        double sum = accumulate ? load(c, at) : 0.0;
        for (int64_t k = 0; k < b[g].inner; ++k)
          sum += static_cast<double>(rounded(load(a, m * a.row_stride() + k), b[g].storage.dtype)) *
                 load(b[g].storage, packed_index(b[g], n, k));
        store(c, at, static_cast<float>(sum));
      }
}

void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const Tensor& dy, const Tensor& x,
                                    std::span<const int64_t> offsets, bool accumulate) {
  for (size_t g = 0; g < dw.size(); ++g)
    for (int64_t n = 0; n < dw[g].rows(); ++n)
      for (int64_t k = 0; k < dw[g].columns(); ++k) {
        const int64_t at = n * dw[g].row_stride() + k;
        double sum = accumulate ? load(dw[g], at) : 0.0;
        for (int64_t m = offsets[g]; m < offsets[g + 1]; ++m)
          sum += static_cast<double>(load(dy, m * dy.row_stride() + n)) *
                 load(x, m * x.row_stride() + k);
        store(dw[g], at, static_cast<float>(sum));
      }
}

}  // namespace minke::ref
