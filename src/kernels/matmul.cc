#include "kernels/matmul.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <vector>

#include "kernels/cpu/matmul.h"
#include "kernels/elementwise.h"
#include "kernels/isa.h"
#include "kernels/packed.h"
#include "kernels/profile.h"
#include "kernels/ref/matmul.h"

namespace minke {
namespace {

std::atomic<int64_t> bytes_read = 0;

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

void check_plain(const PackedMatrix& packed) {
  require(!is_integer(packed.packing), "numbers cannot be packed as {}",
          packing_name(packed.packing));
}

ProfileLimit limit_of(std::span<const PackedMatrix> b) {
  if (b.empty() || b[0].packing == Packing::bf16) return ProfileLimit::bf16;
  return b[0].packing == Packing::f32 ? ProfileLimit::f32 : ProfileLimit::int8;
}

double work_of(std::span<const Tensor> a, std::span<const PackedMatrix> b) {
  double work = 0;
  for (size_t i = 0; i < b.size(); ++i) work += product_work(a[i].rows(), b[i].rows, b[i].inner);
  return work;
}

// What a product has to read of a matrix at least.
int64_t bytes_of(const PackedMatrix& b) {
  return b.is_mapped() ? b.mapped.rows * b.mapped.row_bytes() : b.storage.bytes();
}

// With few rows memory is the limit, and what is read the work.
ProfileScope product_scope(std::span<const Tensor> a, std::span<const PackedMatrix> b,
                           int64_t bytes) {
  constexpr int64_t few_rows = 8;
  int64_t rows = 0;
  for (const Tensor& operand : a) rows = std::max(rows, operand.rows());
  if (rows <= few_rows) return {"product", ProfileLimit::memory, static_cast<double>(bytes)};
  return {"product", limit_of(b), work_of(a, b)};
}

// The reference takes packed matrices only: a mapped one is packed for the call.
void multiply_reference(std::span<const Tensor> c, std::span<const Tensor> a,
                        std::span<const PackedMatrix> b, bool accumulate) {
  for (size_t i = 0; i < b.size(); ++i) {
    Arena arena(b[i].is_mapped() ? b[i].storage.bytes() + 64 : 0);
    PackedMatrix packed = b[i];
    if (b[i].is_mapped()) {
      packed = allocate_packed(arena, b[i].packing, b[i].rows, b[i].inner);
      pack_stored(packed, b[i].mapped);
    }
    ref::matmul_batched(c.subspan(i, 1), a.subspan(i, 1), {&packed, 1}, accumulate);
  }
}

void check_product(const Tensor& c, const Tensor& a, const PackedMatrix& b) {
  require(c.rows() == a.rows() && c.columns() == b.rows && a.columns() == b.inner,
          "c {} = a {} times a packed matrix [{}, {}]", c, a, b.rows, b.inner);
}

}  // namespace

Packing packing_of(BlockFormat format, DType compute) {
  if (compute == DType::f32) return Packing::f32;
  switch (format) {
    case BlockFormat::q4_0:
      return Packing::q4;
    case BlockFormat::q4_1:
      return Packing::q4_min;
    case BlockFormat::q5_0:
    case BlockFormat::q8_0:
      return Packing::q8;
    case BlockFormat::q5_1:
      return Packing::q8_min;
    case BlockFormat::q2_k:
      return Packing::k8_16_min;
    case BlockFormat::q3_k:
    case BlockFormat::q6_k:
      return Packing::k8_16;
    case BlockFormat::q4_k:
      return Packing::k4_min;
    case BlockFormat::q5_k:
      return Packing::k8_min;
    case BlockFormat::iq4_nl:
      return Packing::q4_table;
    case BlockFormat::iq4_xs:
      return Packing::k4_table;
    default:
      return Packing::bf16;
  }
}

std::string_view packing_name(Packing packing) {
  constexpr std::array<std::string_view, 12> names = {"f32",      "bf16",   "q4",     "q4_min",
                                                      "q4_table", "q8",     "q8_min", "k4_min",
                                                      "k4_table", "k8_min", "k8_16",  "k8_16_min"};
  return names[static_cast<size_t>(packing)];
}

PackedMatrix allocate_packed(Arena& arena, Packing packing, int64_t rows, int64_t inner) {
  const int64_t panels = round_up(rows, panel_width) / panel_width;
  PackedMatrix b{rows, inner, packing, {}};
  if (is_integer(packing)) {
    const IntegerScheme scheme = integer_scheme(packing);
    require(inner % (scheme.two_levels ? integer_chunk : integer_group) == 0,
            "an inner dimension of {} packed as {}", inner, packing_name(packing));
    b.storage = arena.allocate(DType::i32, {panels, panel_bytes(scheme, inner) / 4});
  } else {
    const DType dtype = packing == Packing::bf16 ? DType::bf16 : DType::f32;
    b.storage = arena.allocate(dtype, {panels, packed_inner(dtype, inner) * panel_width});
  }
  if (!b.storage || b.storage.bytes() == 0) return b;
  // The padding stays zero: packing writes elements only. Without padding along the inner dimension
  // all of it is in the last panel. Nothing else is touched here, by one thread: a large model's
  // pages are taken from the system as many threads fill them.
  const bool inner_padding = packing == Packing::bf16 && packed_inner(DType::bf16, inner) != inner;
  if (!inner_padding && rows % panel_width == 0) return b;
  const int64_t bytes = b.storage.bytes() / (inner_padding ? 1 : panels);
  std::memset(b.storage.data + b.storage.bytes() - bytes, 0, static_cast<size_t>(bytes));
  return b;
}

PackedMatrix allocate_packed(Arena& arena, DType dtype, int64_t rows, int64_t inner) {
  require(dtype != DType::i32, "a packed matrix of i32");
  return allocate_packed(arena, dtype == DType::bf16 ? Packing::bf16 : Packing::f32, rows, inner);
}

PackedMatrix map_stored(const StoredMatrix& matrix, Packing packing) {
  require(!is_integer(packing) || packing_of(matrix.format, DType::bf16) == packing,
          "{} cannot be packed as {}", block_format_name(matrix.format), packing_name(packing));
  Arena counting = Arena::counting();
  PackedMatrix b = allocate_packed(counting, packing, matrix.rows, matrix.columns);
  b.mapped = matrix;
  return b;
}

void pack_stored(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset) {
  require(
      matrix.columns == packed.inner && row_offset >= 0 && row_offset + matrix.rows <= packed.rows,
      "{} [{}, {}] at row {} of a packed matrix [{}, {}]", block_format_name(matrix.format),
      matrix.rows, matrix.columns, row_offset, packed.rows, packed.inner);
  require(!is_integer(packed.packing) || packing_of(matrix.format, DType::bf16) == packed.packing,
          "{} cannot be packed as {}", block_format_name(matrix.format),
          packing_name(packed.packing));
  (use_reference() ? ref::pack_stored : cpu::pack_stored)(packed, matrix, row_offset);
}

void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset) {
  check_matrix(weight, "weight");
  check_plain(packed);
  require(weight.columns() == packed.inner && row_offset >= 0 &&
              row_offset + weight.rows() <= packed.rows,
          "{} at row {} of a packed matrix [{}, {}]", weight, row_offset, packed.rows,
          packed.inner);
  (use_reference() ? ref::pack : cpu::pack)(packed, weight, row_offset);
}

void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset) {
  check_matrix(weight, "weight");
  check_plain(packed);
  require(weight.columns() == packed.rows && inner_offset >= 0 &&
              inner_offset + weight.rows() <= packed.inner,
          "the transpose of {} at {} of a packed matrix [{}, {}]", weight, inner_offset,
          packed.rows, packed.inner);
  (use_reference() ? ref::pack_transposed : cpu::pack_transposed)(packed, weight, inner_offset);
}

void matmul(const Tensor& c, const Tensor& a, const PackedMatrix& b, bool accumulate) {
  matmul_batched({&c, 1}, {&a, 1}, {&b, 1}, accumulate);
}

namespace {

// One product of matmul_batched() or, with h, of matmul_swiglu().
void multiply_all(std::span<const Tensor> c, std::span<const Tensor> a,
                  std::span<const PackedMatrix> b, bool accumulate, std::span<const Tensor> h) {
  int64_t bytes = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    bytes += bytes_of(b[i]);
    check_matrix(c[i], "c");
    check_matrix(a[i], "a");
    check_product(c[i], a[i], b[i]);
    require(b[i].packing == b[0].packing && b[i].rows == b[0].rows && b[i].inner == b[0].inner &&
                a[i].dtype == a[0].dtype && c[i].dtype == c[0].dtype,
            "product {} differs from the first one of its batch: c {} = a {}", i, c[i], a[i]);
  }
  bytes_read.fetch_add(bytes, std::memory_order_relaxed);
  const ProfileScope scope = product_scope(a, b, bytes);
  if (use_reference())
    multiply_reference(c, a, b, accumulate);
  else
    cpu::matmul_batched(c, a, b, accumulate, h);
}

// The products of groups that have rows.
struct Groups {
  Groups(const Tensor& c, const Tensor& a, std::span<const PackedMatrix> b,
         std::span<const int64_t> offsets, const Tensor& h) {
    check_matrix(c, "c");
    check_matrix(a, "a");
    check_offsets(offsets, b.size(), a.rows());
    for (size_t g = 0; g < b.size(); ++g) {
      check_product(c, a, b[g]);
      const int64_t begin = offsets[g], end = offsets[g + 1];
      if (begin == end) continue;
      results.push_back(c.slice_rows(begin, end));
      rows.push_back(a.slice_rows(begin, end));
      matrices.push_back(b[g]);
      if (h) activated.push_back(h.slice_rows(begin, end));
    }
  }
  std::vector<Tensor> results, rows, activated;
  std::vector<PackedMatrix> matrices;
};

}  // namespace

void matmul_batched(std::span<const Tensor> c, std::span<const Tensor> a,
                    std::span<const PackedMatrix> b, bool accumulate) {
  require(c.size() == b.size() && a.size() == b.size(), "{} results of {} times {} matrices",
          c.size(), a.size(), b.size());
  multiply_all(c, a, b, accumulate, {});
}

int64_t packed_bytes_read() { return bytes_read.load(std::memory_order_relaxed); }

void matmul_grouped(const Tensor& c, const Tensor& a, std::span<const PackedMatrix> b,
                    std::span<const int64_t> offsets, bool accumulate) {
  const Groups groups(c, a, b, offsets, Tensor());
  multiply_all(groups.results, groups.rows, groups.matrices, accumulate, {});
}

void matmul_swiglu(const Tensor& gate_up, const Tensor& h, const Tensor& a,
                   std::span<const PackedMatrix> b, std::span<const int64_t> offsets) {
  require(h && h.rows() == gate_up.rows() && 2 * h.columns() == gate_up.columns(),
          "matmul_swiglu: h {} of {}", h, gate_up);
  if (use_reference() || h.columns() % panel_width != 0) {  // up begins inside a panel
    matmul_grouped(gate_up, a, b, offsets);
    return silu_mul_forward(h, gate_up);
  }
  const Groups groups(gate_up, a, b, offsets, h);
  multiply_all(groups.results, groups.rows, groups.matrices, false, groups.activated);
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
  const int64_t rows = offsets.back() - offsets.front();
  const ProfileScope scope("weight gradient", limit_of(x.dtype),
                           product_work(rows, dy.columns(), x.columns()));
  (use_reference() ? ref::matmul_weight_gradient_grouped : cpu::matmul_weight_gradient_grouped)(
      dw, dy, x, offsets, accumulate);
}

}  // namespace minke
