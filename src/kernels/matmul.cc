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

// What a product has to read of a matrix at least.
int64_t bytes_of(const PackedMatrix& b) {
  return b.is_mapped() ? b.mapped.rows * b.mapped.row_bytes() : b.storage.bytes();
}

// What a call's products cost. With few rows memory is the limit, and what is read the work.
class Cost {
 public:
  void add(int64_t rows, const PackedMatrix& b) {
    most_rows_ = std::max(most_rows_, rows);
    work_ += product_work(rows, b.rows, b.inner);
    bytes_ += bytes_of(b);
  }
  ProfileScope scope(std::span<const PackedMatrix> b) const {
    constexpr int64_t few_rows = 8;
    bytes_read.fetch_add(bytes_, std::memory_order_relaxed);
    if (most_rows_ <= few_rows)
      return {"product", ProfileLimit::memory, static_cast<double>(bytes_)};
    return {"product", limit_of(b), work_};
  }

 private:
  int64_t most_rows_ = 0, bytes_ = 0;
  double work_ = 0;
};

// The rows as a matrix, in memory of `arena` if there is an index.
Tensor gathered(Arena& arena, const Tensor& a, const int32_t* index, int64_t rows) {
  if (!index) return a;
  const Tensor copy = arena.allocate(a.dtype, {rows, a.columns()});
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(copy.slice_rows(r, r + 1).data, a.slice_rows(index[r], index[r] + 1).data,
                static_cast<size_t>(a.columns() * dtype_bytes(a.dtype)));
  return copy;
}

// The reference takes packed matrices only: a mapped one is packed for the call.
void multiply_reference(const cpu::Products& p) {
  for (size_t i = 0; i < p.b.size(); ++i) {
    const int64_t copied = p.index.empty() ? 0 : p.c[i].rows() * p.a[i].columns() * 4;
    Arena arena(copied + (p.b[i].is_mapped() ? p.b[i].storage.bytes() : 0) + 128);
    PackedMatrix packed = p.b[i];
    if (packed.is_mapped()) {
      packed = allocate_packed(arena, packed.packing, packed.rows, packed.inner);
      pack_stored(packed, p.b[i].mapped);
    }
    const Tensor a = gathered(arena, p.a[i], p.index.empty() ? nullptr : p.index[i], p.c[i].rows());
    ref::matmul_batched({&p.c[i], 1}, {&a, 1}, {&packed, 1}, p.accumulate);
  }
}

void check_product(const Tensor& c, const Tensor& a, int64_t a_rows, const PackedMatrix& b) {
  require(c.rows() == a_rows && c.columns() == b.rows && a.columns() == b.inner,
          "c {} = {} rows of a {} times a packed matrix [{}, {}]", c, a_rows, a, b.rows, b.inner);
}

void check_index(const Tensor& index, int64_t rows) {
  if (!index) return;
  require(index.contiguous(), "the index of rows {} is not contiguous", index);
  const int32_t* at = index.as<int32_t>();
  for (int64_t r = 0; r < index.size(); ++r)
    require(at[r] >= 0 && at[r] < rows, "index {} of {} rows", at[r], rows);
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

bool same_kind(const PackedMatrix& a, const PackedMatrix& b) {
  return a.packing == b.packing && a.rows == b.rows && a.inner == b.inner;
}

void multiply_all(const cpu::Products& p) {
  Cost cost;
  for (size_t i = 0; i < p.b.size(); ++i) {
    cost.add(p.c[i].rows(), p.b[i]);
    check_matrix(p.c[i], "c");
    check_matrix(p.a[i], "a");
    check_product(p.c[i], p.a[i], p.index.empty() ? p.a[i].rows() : p.c[i].rows(), p.b[i]);
    require(
        same_kind(p.b[i], p.b[0]) && p.a[i].dtype == p.a[0].dtype && p.c[i].dtype == p.c[0].dtype,
        "product {} differs from the first one of its batch: c {} = a {}", i, p.c[i], p.a[i]);
  }
  const ProfileScope scope = cost.scope(p.b);
  use_reference() ? multiply_reference(p) : cpu::matmul_batched(p);
}

// The products of groups that have rows.
struct Groups {
  Groups(const Tensor& c, const IndexedRows& a, std::span<const PackedMatrix> b,
         std::span<const int64_t> offsets, const Tensor& h, const Tensor& weights) {
    check_matrix(c, "c");
    check_matrix(a.tensor, "a");
    check_offsets(offsets, b.size(), a.count());
    check_index(a.index, a.tensor.rows());
    for (size_t g = 0; g < b.size(); ++g) {
      check_product(c, a.tensor, a.count(), b[g]);
      const int64_t begin = offsets[g], end = offsets[g + 1];
      if (begin == end) continue;
      results.push_back(c.slice_rows(begin, end));
      rows.push_back(a.index ? a.tensor : a.tensor.slice_rows(begin, end));
      matrices.push_back(b[g]);
      if (a.index) index.push_back(a.index.as<int32_t>() + begin);
      if (h) activated.push_back(h.slice_rows(begin, end));
      if (weights) weight.push_back(weights.as<float>() + begin);
    }
  }
  cpu::Products products(bool accumulate) const {
    return {results, rows, matrices, accumulate, index, activated, weight};
  }

  std::vector<Tensor> results, rows, activated;
  std::vector<PackedMatrix> matrices;
  std::vector<const int32_t*> index;
  std::vector<const float*> weight;
};

void scatter_reference(const Tensor& c, const int32_t* index, const Tensor& a,
                       std::span<const PackedMatrix> b, std::span<const int64_t> offsets) {
  for (size_t g = 0; g < b.size(); ++g) {
    const int64_t begin = offsets[g], end = offsets[g + 1];
    if (begin == end) continue;
    Arena arena((end - begin) * c.columns() * 4 + 64);
    const Tensor sums = arena.allocate(DType::f32, {end - begin, c.columns()});
    const Tensor rows = a.slice_rows(begin, end);
    multiply_reference({{&sums, 1}, {&rows, 1}, {&b[g], 1}});
    for (int64_t r = begin; r < end; ++r)
      for (int64_t n = 0; n < c.columns(); ++n)
        c.row<float>(index[r])[n] += sums.row<float>(r - begin)[n];
  }
}

}  // namespace

void matmul_batched(std::span<const Tensor> c, std::span<const Tensor> a,
                    std::span<const PackedMatrix> b, bool accumulate) {
  require(c.size() == b.size() && a.size() == b.size(), "{} results of {} times {} matrices",
          c.size(), a.size(), b.size());
  multiply_all({c, a, b, accumulate});
}

int64_t packed_bytes_read() { return bytes_read.load(std::memory_order_relaxed); }

void matmul_grouped(const Tensor& c, const IndexedRows& a, std::span<const PackedMatrix> b,
                    std::span<const int64_t> offsets, bool accumulate) {
  const Groups groups(c, a, b, offsets, {}, {});
  multiply_all(groups.products(accumulate));
}

void matmul_swiglu(const Tensor& gate_up, const Tensor& h, const IndexedRows& a,
                   std::span<const PackedMatrix> b, std::span<const int64_t> offsets,
                   const Tensor& weights) {
  require(h && h.rows() == gate_up.rows() && 2 * h.columns() == gate_up.columns() &&
              (!weights || (weights.rank == 1 && weights.size() == h.rows())),
          "matmul_swiglu: h {} of {}, weights {}", h, gate_up, weights);
  if (use_reference() || h.columns() % panel_width != 0) {  // up begins inside a panel
    matmul_grouped(gate_up, a, b, offsets);
    return silu_mul_forward(h, gate_up, weights);
  }
  const Groups groups(gate_up, a, b, offsets, h, weights);
  multiply_all(groups.products(false));
}

void matmul_scatter(const Tensor& c, const Tensor& index, const Tensor& a,
                    std::span<const PackedMatrix> b, std::span<const int64_t> offsets) {
  check_matrix(c, "c");
  check_matrix(a, "a");
  check_offsets(offsets, b.size(), a.rows());
  check_index(index, c.rows());
  require(c.dtype == DType::f32 && index.size() == a.rows(), "c {} from {} rows of a {}", c,
          index.size(), a);
  const int32_t* at = index.as<int32_t>();
  Cost cost;
  for (size_t g = 0; g < b.size(); ++g) {
    require(c.columns() == b[g].rows && a.columns() == b[g].inner && same_kind(b[g], b[0]),
            "c {} from a {} times a packed matrix [{}, {}]", c, a, b[g].rows, b[g].inner);
    for (int64_t r = offsets[g] + 1; r < offsets[g + 1]; ++r)
      require(at[r - 1] < at[r], "row {} of group {} goes to {}, the one before it to {}", r, g,
              at[r], at[r - 1]);
    if (offsets[g] < offsets[g + 1]) cost.add(offsets[g + 1] - offsets[g], b[g]);
  }
  const ProfileScope scope = cost.scope(b);
  (use_reference() ? scatter_reference : cpu::matmul_scatter)(c, at, a, b, offsets);
}

void matmul_weight_gradient(const Tensor& dw, const Tensor& dy, const Tensor& x, bool accumulate) {
  const std::array<int64_t, 2> all = {0, x.rows()};
  matmul_weight_gradient_grouped({&dw, 1}, dy, x, all, accumulate);
}

void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const IndexedRows& dy,
                                    const IndexedRows& x, std::span<const int64_t> offsets,
                                    bool accumulate) {
  const Tensor &left = dy.tensor, &right = x.tensor;
  check_matrix(left, "dy");
  check_matrix(right, "x");
  check_offsets(offsets, dw.size(), x.count());
  check_index(dy.index, left.rows());
  check_index(x.index, right.rows());
  require(left.dtype == right.dtype && dy.count() == x.count(), "{} rows of dy {} and {} of x {}",
          dy.count(), left, x.count(), right);
  for (const Tensor& w : dw)
    require(w.rank == 2 && w.dtype == DType::f32 && w.rows() == left.columns() &&
                w.columns() == right.columns(),
            "dw {} of dy {} and x {}", w, left, right);
  const int64_t rows = offsets.back() - offsets.front();
  const ProfileScope scope("weight gradient", limit_of(right.dtype),
                           product_work(rows, left.columns(), right.columns()));
  (use_reference() ? ref::matmul_weight_gradient_grouped : cpu::matmul_weight_gradient_grouped)(
      dw, dy, x, offsets, accumulate);
}

}  // namespace minke
