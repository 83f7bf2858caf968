#include "kernels/cpu/integers.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/swiglu.h"
#include "kernels/isa.h"

namespace minke::cpu {
namespace {

enum Slot : int { rounded_slot = 12, tile_slot, mapped_slot };

const IntegerKernels& integer_kernels() {
#if defined(__x86_64__)
  const Isa isa = active_isa();
  // VNNI is no Isa of its own: it belongs to the sets above AVX-512, and to AVX-512 where there is
  // nothing above.
  const bool vnni = features().avx512_vnni && isa >= Isa::avx512 &&
                    (isa > Isa::avx512 || supported_isas().back() == Isa::avx512);
  if (vnni) return vnni_integers;
  if (isa >= Isa::avx512) return avx512_integers;
  if (isa == Isa::avx2) return avx2_integers;
#endif
  return portable_integers;
}

// Null where panels are faster than blocks read in plain C++.
const StoredKernels* stored_kernels() {
#if defined(__x86_64__)
  if (active_isa() >= Isa::avx2) return &avx2_stored;
#endif
  return nullptr;
}

char* at(const Tensor& t, int64_t row, int64_t column) {
  return reinterpret_cast<char*>(t.data) + (row * t.row_stride() + column) * dtype_bytes(t.dtype);
}

// From row `row` and group `group` on.
RoundedRows part_of(RoundedRows rows, int64_t row, int64_t group) {
  const int64_t first = row * rows.parts + group * (rows.parts / std::max<int64_t>(rows.groups, 1));
  rows.value += row * rows.inner + group * integer_group;
  rows.scale += row * rows.groups + group;
  rows.start += first;
  rows.sum += first;
  return rows;
}

// All rows of all a, rounded, in scratch memory of the calling thread.
RoundedRows round_all(const IntegerKernels& k, std::span<const Tensor> a, Packing packing,
                      std::span<const int64_t> begin) {
  const IntegerScheme scheme = integer_scheme(packing);
  const int64_t rows = begin.back(), inner = a[0].columns();
  RoundedRows out{};
  out.inner = inner;
  out.groups = inner / integer_group;
  out.parts = inner / scheme.group;
  char* memory = scratch(rounded_slot, rows * (inner + 4 * (out.groups + 2 * out.parts)));
  out.value = reinterpret_cast<int8_t*>(memory);
  out.scale = reinterpret_cast<float*>(memory + rows * inner);
  out.start = reinterpret_cast<int32_t*>(out.scale + rows * out.groups);
  out.sum = reinterpret_cast<float*>(out.start + rows * out.parts);
  const auto round = [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t i = std::upper_bound(begin.begin(), begin.end(), row) - begin.begin() - 1;
      k.round_row(part_of(out, row, 0), at(a[i], row - begin[i], 0), a[i].dtype, scheme.zero);
    }
  };
  if (rows * inner < (1 << 16))
    round(0, rows);
  else
    parallel_ranges(rows, std::max<int64_t>(1, (1 << 14) / inner), round);
  return out;
}

// A tile of c as f32 sums: the tensor's own memory where panels fit in it, otherwise scratch.
class SumTile {
 public:
  SumTile(const Kernels& k, const Tensor& c, int64_t row, int64_t column, int64_t rows,
          int64_t columns, bool load)
      : k_(k), c_(c), row_(row), column_(column), rows_(rows), columns_(columns) {
    if (c.dtype == DType::f32 && columns % panel_width == 0) {
      sums = reinterpret_cast<float*>(at(c, row, column));
      stride = c.row_stride();
      return;
    }
    stride = round_up(columns, panel_width);
    sums = scratch_ = reinterpret_cast<float*>(scratch(tile_slot, rows * stride * 4));
    for (int64_t r = 0; r < rows && load; ++r)
      convert_row(k_, reinterpret_cast<char*>(sums + r * stride), DType::f32,
                  at(c, row + r, column), c.dtype, columns);
  }
  void finish() const {
    for (int64_t r = 0; scratch_ && r < rows_; ++r)
      convert_row(k_, at(c_, row_ + r, column_), c_.dtype,
                  reinterpret_cast<const char*>(sums + r * stride), DType::f32, columns_);
  }

  float* sums;
  int64_t stride;

 private:
  const Kernels& k_;
  const Tensor& c_;
  int64_t row_, column_, rows_, columns_;
  float* scratch_ = nullptr;
};

// The panels of rows [begin, end), begin a multiple of 16; of a mapped matrix in scratch.
const char* panels_of(const PackedMatrix& b, int64_t panel, int64_t begin, int64_t end) {
  if (!b.is_mapped())
    return reinterpret_cast<const char*>(b.storage.data) + begin / panel_width * panel;
  char* out = scratch(mapped_slot, round_up(end - begin, panel_width) / panel_width * panel);
  pack_mapped_panels(b, begin, end, out);
  return out;
}

// A product of few rows with a mapped matrix's rows [begin, end), read where they lie.
void multiply_mapped(const StoredKernels& k, const PackedMatrix& b, int64_t begin, int64_t end,
                     const PackedProduct& t) {
  const StoredMatrix& matrix = b.mapped;
  const auto multiply =
      k.multiply[static_cast<int>(matrix.format) - static_cast<int>(BlockFormat::q4_0)];
  for (int64_t r = 0; r < t.rows && !t.load; ++r)
    std::memset(t.c + r * t.c_row, 0, static_cast<size_t>(t.panels * panel_width * 4));
  StoredProduct p{.rows = t.rows,
                  .groups = t.groups,
                  .a = t.a,
                  .row = {},
                  .block_bytes = block_bytes(matrix.format),
                  .next = nullptr,
                  .c = t.c,
                  .c_row = t.c_row};
  const int64_t row_bytes = matrix.row_bytes();
  for (int64_t r = begin; r < end; r += panel_width, p.c += panel_width) {
    for (int64_t j = 0; j < panel_width; ++j) {
      const int64_t row = std::min(r + j, end - 1);  // what is missing repeats the last
      const int64_t at = matrix.row_order ? matrix.row_order[row] : row;
      p.row[j] = reinterpret_cast<const char*>(matrix.data) + at * row_bytes;
    }
    // What follows a task's last rows may belong to another thread.
    p.next = p.row[0] + (r + panel_width < end ? panel_width * row_bytes : 0);
    multiply(p);
  }
}

// A product whose rows fit in the second cache, or that is cut along the inner dimension so that
// they do.
void multiply_in_blocks(const IntegerKernels& k, Packing packing, PackedProduct t) {
  constexpr int64_t cached_bytes = 400 << 10;
  const auto multiply = k.multiply[static_cast<int>(packing) - static_cast<int>(Packing::q4)];
  const int64_t chunk_groups = integer_chunk / integer_group;
  const int64_t chunk_bytes = chunk_layout(integer_scheme(packing), chunk_groups).bytes;
  const int64_t chunks = std::max<int64_t>(1, cached_bytes / (t.rows * integer_chunk));
  const RoundedRows a = t.a;
  const int64_t groups = t.groups;
  for (int64_t group = 0; group == 0 || group < groups; group += chunks * chunk_groups) {
    t.a = part_of(a, 0, group);
    t.groups = std::min(chunks * chunk_groups, groups - group);
    multiply(t);
    t.b += chunks * chunk_bytes;
    t.load = true;
  }
}

}  // namespace

void matmul_integers(std::span<const Tensor> c, std::span<const Tensor> a,
                     std::span<const PackedMatrix> b, bool accumulate, std::span<const Tensor> h) {
  const IntegerKernels& k = integer_kernels();
  const StoredKernels* const stored = stored_kernels();
  const Packing packing = b[0].packing;
  const int64_t inner = b[0].inner, columns = b[0].rows, halves = h.empty() ? 1 : 2;
  const int64_t panel = panel_bytes(integer_scheme(packing), inner);
  std::vector<int64_t> rows, begin = {0};
  for (const Tensor& result : c) {
    rows.push_back(result.rows());
    begin.push_back(begin.back() + result.rows());
  }
  if (begin.back() == 0) return;
  const RoundedRows rounded = round_all(k, a, packing, begin);
  // Few rows are bound by memory: long runs of it, above all where nothing was arranged for them.
  const int64_t run_bytes = b[0].is_mapped() && stored ? 1 << 20 : 1 << 17;
  const bool few = *std::max_element(rows.begin(), rows.end()) <= few_rows;
  const int64_t tile_columns =
      few ? std::max<int64_t>(1, run_bytes / std::max<int64_t>(panel, 1)) * panel_width : 256;
  const Tiling tiling(rows, columns / halves, 192, tile_columns / halves);
  const auto task = [&](int64_t i, int64_t row, int64_t row_end, int64_t column,
                        int64_t column_end) {
    const SumTile tile(kernels(), c[i], row, column, row_end - row, column_end - column,
                       accumulate);
    PackedProduct t{};
    t.rows = row_end - row;
    t.panels = round_up(column_end - column, panel_width) / panel_width;
    t.groups = inner / integer_group;
    t.a = part_of(rounded, begin[i] + row, 0);
    t.b_panel = panel;
    t.c = tile.sums;
    t.c_row = tile.stride;
    t.load = accumulate;
    if (b[i].is_mapped() && t.rows <= few_rows && stored) {
      multiply_mapped(*stored, b[i], column, column_end, t);
    } else {
      t.b = panels_of(b[i], panel, column, column_end);
      multiply_in_blocks(k, packing, t);
    }
    tile.finish();
  };
  const int64_t bytes = static_cast<int64_t>(b.size()) * columns / panel_width * panel;
  run_tiles(tiling, begin.back() * inner * columns, bytes, c, h, task);
}

}  // namespace minke::cpu
