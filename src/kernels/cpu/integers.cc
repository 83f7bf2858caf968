#include "kernels/cpu/integers.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/tiling.h"
#include "kernels/isa.h"

namespace minke::cpu {
namespace {

enum Slot : int { rounded_slot = 12, unpacked_slot, tile_slot };

constexpr int64_t block_groups = 2 * integer_chunk / integer_group;  // unpacked at a time
constexpr int64_t block_panels = 2;

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

// A tile with many rows: blocks of panels are unpacked once for all of them.
void multiply_block_by_block(const IntegerKernels& k, Packing packing, const PackedProduct& t) {
  const IntegerScheme scheme = integer_scheme(packing);
  const int64_t parts = integer_group / scheme.group;
  const int64_t codes = block_groups * 512, levels = block_groups * parts * 16;
  char* memory = scratch(unpacked_slot, block_panels * (codes + 8 * levels));
  float* scales = reinterpret_cast<float*>(memory + block_panels * codes);
  float* mins = scheme.mins ? scales + block_panels * levels : nullptr;
  const int64_t block_bytes = block_groups * integer_group / integer_chunk *
                              chunk_layout(scheme, integer_chunk / integer_group).bytes;
  for (int64_t group = 0; group < t.groups; group += block_groups) {
    UnpackedProduct block{};
    block.groups = std::min(block_groups, t.groups - group);
    block.a = part_of(t.a, 0, group);
    block.codes = memory;
    block.scales = scales;
    block.mins = mins;
    block.rows = t.rows;
    block.c_row = t.c_row;
    block.load = t.load || group > 0;
    for (int64_t panel = 0; panel < t.panels; panel += block_panels) {
      block.panels = std::min(block_panels, t.panels - panel);
      block.c = t.c + panel * panel_width;
      const char* from = t.b + panel * t.b_panel + group / block_groups * block_bytes;
      for (int64_t p = 0; p < block.panels; ++p)
        k.of(packing).unpack(from + p * t.b_panel, block.groups, memory + p * block.groups * 512,
                             scales + p * block.groups * parts * 16,
                             mins + (mins ? p * block.groups * parts * 16 : 0));
      k.multiply_unpacked[parts - 1](block);
    }
  }
}

}  // namespace

void matmul_integers(std::span<const Tensor> c, std::span<const Tensor> a,
                     std::span<const PackedMatrix> b, bool accumulate) {
  const IntegerKernels& k = integer_kernels();
  const Packing packing = b[0].packing;
  const int64_t inner = b[0].inner, columns = b[0].rows;
  const int64_t panel = panel_bytes(integer_scheme(packing), inner);
  std::vector<int64_t> rows, begin = {0};
  for (const Tensor& result : c) {
    rows.push_back(result.rows());
    begin.push_back(begin.back() + result.rows());
  }
  if (begin.back() == 0) return;
  const RoundedRows rounded = round_all(k, a, packing, begin);
  const bool few = *std::max_element(rows.begin(), rows.end()) <= k.few_rows;
  // Few rows are bound by memory: long runs of it. Many rows: what the second cache holds.
  constexpr int64_t run_bytes = 1 << 17;
  const int64_t tile_columns =
      few ? std::max<int64_t>(1, run_bytes / std::max<int64_t>(panel, 1)) * panel_width : 256;
  const Tiling tiling(rows, columns, 192, tile_columns);
  const auto task = [&](int64_t i, int64_t row, int64_t row_end, int64_t column,
                        int64_t column_end) {
    const SumTile tile(kernels(), c[i], row, column, row_end - row, column_end - column,
                       accumulate);
    PackedProduct t{};
    t.rows = row_end - row;
    t.panels = round_up(column_end - column, panel_width) / panel_width;
    t.groups = inner / integer_group;
    t.a = part_of(rounded, begin[i] + row, 0);
    t.b = reinterpret_cast<const char*>(b[i].storage.data) + column / panel_width * panel;
    t.b_panel = panel;
    t.c = tile.sums;
    t.c_row = tile.stride;
    t.load = accumulate;
    if (t.rows <= k.few_rows || t.groups == 0)
      k.of(packing).multiply(t);
    else
      multiply_block_by_block(k, packing, t);
    tile.finish();
  };
  tiling.run(begin.back() * inner * columns, task);
}

}  // namespace minke::cpu
