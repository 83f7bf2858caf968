#include "kernels/cpu/integers.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/scatter.h"
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

// Rows rounded, in scratch memory of the calling thread; row_of(r) is where row r lies.
template <typename RowOf>
RoundedRows round_all(const IntegerKernels& k, int64_t rows, int64_t inner, DType dtype,
                      Packing packing, const RowOf& row_of) {
  const IntegerScheme scheme = integer_scheme(packing);
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
    for (int64_t row = first; row < last; ++row)
      k.round_row(part_of(out, row, 0), row_of(row), dtype, scheme.zero);
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

// Rows of a that a task takes at most.
constexpr int64_t tile_rows = 192;

// Columns of b that a task takes at most. Few rows are bound by memory: long runs of it, above all
// where nothing was arranged for them.
int64_t tile_columns(const PackedMatrix& b, int64_t rows) {
  if (rows > few_rows) return 256;
  const int64_t run_bytes = b.is_mapped() && stored_kernels() ? 1 << 20 : 1 << 17;
  const int64_t panel = panel_bytes(integer_scheme(b.packing), b.inner);
  return std::max<int64_t>(1, run_bytes / std::max<int64_t>(panel, 1)) * panel_width;
}

// Rounded rows times b's rows [column, column + columns) into those columns of c, whose first row
// is the first of them.
void multiply_tile(const RoundedRows& a, const PackedMatrix& b, bool accumulate, const Tensor& c,
                   int64_t c_row, int64_t c_column, int64_t rows, int64_t column, int64_t columns) {
  const SumTile tile(kernels(), c, c_row, c_column, rows, columns, accumulate);
  PackedProduct t{};
  t.rows = rows;
  t.panels = round_up(columns, panel_width) / panel_width;
  t.groups = b.inner / integer_group;
  t.a = a;
  t.b_panel = panel_bytes(integer_scheme(b.packing), b.inner);
  t.c = tile.sums;
  t.c_row = tile.stride;
  t.load = accumulate;
  const StoredKernels* const stored =
      b.is_mapped() && rows <= few_rows ? stored_kernels() : nullptr;
  if (stored) {
    multiply_mapped(*stored, b, column, column + columns, t);
  } else {
    t.b = panels_of(b, t.b_panel, column, column + columns);
    multiply_in_blocks(integer_kernels(), b.packing, t);
  }
  tile.finish();
}

int64_t bytes_of(const PackedMatrix& b) {
  return b.rows / panel_width * panel_bytes(integer_scheme(b.packing), b.inner);
}

}  // namespace

void matmul_integers(const Products& p) {
  const PackedMatrix& b = p.b[0];
  std::vector<int64_t> rows, begin = {0};
  for (const Tensor& result : p.c) {
    rows.push_back(result.rows());
    begin.push_back(begin.back() + result.rows());
  }
  if (begin.back() == 0) return;
  const auto row_of = [&](int64_t row) {
    const int64_t i = std::upper_bound(begin.begin(), begin.end(), row) - begin.begin() - 1;
    return at(p.a[i], p.index.empty() ? row - begin[i] : p.index[i][row - begin[i]], 0);
  };
  const RoundedRows rounded =
      round_all(integer_kernels(), begin.back(), b.inner, p.a[0].dtype, b.packing, row_of);
  const int64_t most = *std::max_element(rows.begin(), rows.end()), halves = p.h.empty() ? 1 : 2;
  const Tiling tiling(rows, b.rows / halves, tile_rows, tile_columns(b, most) / halves);
  run_tiles(tiling, begin.back() * b.inner * b.rows, static_cast<int64_t>(p.b.size()) * bytes_of(b),
            p, [&](int64_t i, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
              multiply_tile(part_of(rounded, begin[i] + row, 0), p.b[i], p.accumulate, p.c[i], row,
                            column, row_end - row, column, column_end - column);
            });
}

void scatter_integers(const Tensor& c, const int32_t* index, const Tensor& a,
                      std::span<const PackedMatrix> b, std::span<const int64_t> offsets) {
  const int64_t rows = offsets.back() - offsets.front(), inner = b[0].inner;
  const RoundedRows rounded =
      round_all(integer_kernels(), rows, inner, a.dtype, b[0].packing,
                [&](int64_t row) { return at(a, offsets.front() + row, 0); });
  Scatter(c, index, offsets, tile_rows, tile_columns(b[0], most_rows(offsets)))
      .run(rows * inner * b[0].rows, bytes_of(b[0]),
           [&](int64_t g, int64_t row, int64_t row_end, int64_t column, int64_t column_end,
               const Tensor& sums) {
             multiply_tile(part_of(rounded, row - offsets.front(), 0), b[g], false, sums, 0, 0,
                           row_end - row, column, column_end - column);
           });
}

}  // namespace minke::cpu
