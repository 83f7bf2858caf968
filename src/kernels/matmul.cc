#include "kernels/matmul.h"

#include <array>
#include <cstring>

#include "kernels/cpu/matmul.h"
#include "kernels/isa.h"
#include "kernels/packed.h"
#include "kernels/ref/matmul.h"

namespace minke {
namespace {

bool use_reference() { return active_isa() == Isa::reference; }

void check_matrix(const Tensor& t, const char* name) {
  require(t.rank >= 2 && t.dtype != DType::i32, "{} is {}, not a floating matrix", name, t);
}

void check_offsets(std::span<const int64_t> offsets, size_t groups, int64_t rows) {
  require(offsets.size() == groups + 1 && offsets.front() >= 0 && offsets.back() <= rows,
          "{} offsets for {} groups and {} rows", offsets.size(), groups, rows);
  for (size_t g = 0; g < groups; ++g)
    require(offsets[g] <= offsets[g + 1], "the offsets of group {} fall", g);
}

void check_product(const Tensor& c, const Tensor& a, const PackedMatrix& b) {
  require(c.rows() == a.rows() && c.columns() == b.rows && a.columns() == b.inner,
          "c {} = a {} times a packed matrix [{}, {}]", c, a, b.rows, b.inner);
}

}  // namespace

PackedMatrix allocate_packed(Arena& arena, DType dtype, int64_t rows, int64_t inner) {
  require(dtype != DType::i32, "a packed matrix of i32");
  const int64_t panels = round_up(rows, panel_width) / panel_width;
  PackedMatrix b{rows, inner, {}};
  b.storage = arena.allocate(dtype, {panels, packed_inner(dtype, inner) * panel_width});
  // The padding stays zero: pack() and pack_transposed() write elements only.
  if (b.storage) std::memset(b.storage.data, 0, static_cast<size_t>(b.storage.bytes()));
  return b;
}

void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset) {
  check_matrix(weight, "weight");
  require(weight.columns() == packed.inner && row_offset >= 0 &&
              row_offset + weight.rows() <= packed.rows,
          "{} at row {} of a packed matrix [{}, {}]", weight, row_offset, packed.rows,
          packed.inner);
  (use_reference() ? ref::pack : cpu::pack)(packed, weight, row_offset);
}

void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset) {
  check_matrix(weight, "weight");
  require(weight.columns() == packed.rows && inner_offset >= 0 &&
              inner_offset + weight.rows() <= packed.inner,
          "the transpose of {} at {} of a packed matrix [{}, {}]", weight, inner_offset,
          packed.rows, packed.inner);
  (use_reference() ? ref::pack_transposed : cpu::pack_transposed)(packed, weight, inner_offset);
}

void matmul(const Tensor& c, const Tensor& a, const PackedMatrix& b, bool accumulate) {
  const std::array<int64_t, 2> all = {0, a.rows()};
  matmul_grouped(c, a, {&b, 1}, all, accumulate);
}

void matmul_grouped(const Tensor& c, const Tensor& a, std::span<const PackedMatrix> b,
                    std::span<const int64_t> offsets, bool accumulate) {
  check_matrix(c, "c");
  check_matrix(a, "a");
  check_offsets(offsets, b.size(), a.rows());
  for (const PackedMatrix& matrix : b) check_product(c, a, matrix);
  (use_reference() ? ref::matmul_grouped : cpu::matmul_grouped)(c, a, b, offsets, accumulate);
}

void matmul_weight_gradient(const Tensor& dw, const Tensor& dy, const Tensor& x, bool accumulate) {
  const std::array<int64_t, 2> all = {0, x.rows()};
  matmul_weight_gradient_grouped({&dw, 1}, dy, x, all, accumulate);
}

void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const Tensor& dy, const Tensor& x,
                                    std::span<const int64_t> offsets, bool accumulate) {
  check_matrix(dy, "dy");
  check_matrix(x, "x");
  check_offsets(offsets, dw.size(), x.rows());
  require(dy.dtype == x.dtype && dy.rows() == x.rows(), "dy {} and x {}", dy, x);
  for (const Tensor& w : dw)
    require(w.rank == 2 && w.dtype == DType::f32 && w.rows() == dy.columns() &&
                w.columns() == x.columns(),
            "dw {} of dy {} and x {}", w, dy, x);
  (use_reference() ? ref::matmul_weight_gradient_grouped : cpu::matmul_weight_gradient_grouped)(
      dw, dy, x, offsets, accumulate);
}

}  // namespace minke
