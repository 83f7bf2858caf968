#include "kernels/cpu/matmul.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/threads.h"
#include "kernels/blocks.h"
#include "kernels/cpu/integers.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/scatter.h"
#include "kernels/cpu/swiglu.h"

namespace minke::cpu {
namespace {

constexpr int64_t block_bytes = 2048;  // of one row's inner dimension in a block of the product

enum Slot : int { left_slot = 1, right_slot, sums_slot, mapped_slot = 14 };

char* at(const Tensor& t, int64_t row, int64_t column) {
  return reinterpret_cast<char*>(t.data) + (row * t.row_stride() + column) * dtype_bytes(t.dtype);
}

int64_t row_bytes(const Tensor& t) { return t.row_stride() * dtype_bytes(t.dtype); }

// A tile of c: the product goes straight into it where it can, otherwise into f32 scratch first (an
// incomplete panel, or bf16 that is added to or that comes in several blocks).
class Destination {
 public:
  Destination(const Kernels& k, const Tensor& c, int64_t row, int64_t column, int64_t rows,
              int64_t columns, bool accumulate, bool one_block)
      : k_(k), c_(c), row_(row), column_(column), rows_(rows), columns_(columns) {
    const bool f32 = c.dtype == DType::f32;
    direct_ = columns % panel_width == 0 && (f32 || (one_block && !accumulate));
    load_ = accumulate;
    if (direct_) return;
    width_ = round_up(columns, panel_width);
    sums_ = reinterpret_cast<float*>(scratch(sums_slot, rows * width_ * 4));
    for (int64_t r = 0; r < rows && accumulate; ++r)
      convert_row(k_, reinterpret_cast<char*>(sums_ + r * width_), DType::f32,
                  at(c_, row_ + r, column_), c_.dtype, columns_);
  }

  // Adds the product of the next block.
  void add(const Arithmetic& math, Product& product) {
    product.load = load_;
    product.panels = round_up(columns_, panel_width) / panel_width;
    product.rounded = nullptr;
    if (!direct_) {
      product.c = sums_;
      product.c_row = width_;
    } else if (c_.dtype == DType::f32) {
      product.c = reinterpret_cast<float*>(at(c_, row_, column_));
      product.c_row = c_.row_stride();
    } else {
      product.c = nullptr;
      product.c_row = 0;
      product.rounded = reinterpret_cast<uint16_t*>(at(c_, row_, column_));
      product.rounded_row = c_.row_stride();
    }
    math.multiply(product);
    load_ = true;
  }

  // Ends the tile; without a block before it, the sum is empty.
  void finish() {
    if (direct_ && !load_)
      for (int64_t r = 0; r < rows_; ++r)
        std::memset(at(c_, row_ + r, column_), 0, columns_ * dtype_bytes(c_.dtype));
    if (direct_) return;
    if (!load_) std::memset(sums_, 0, rows_ * width_ * 4);
    for (int64_t r = 0; r < rows_; ++r)
      convert_row(k_, at(c_, row_ + r, column_), c_.dtype,
                  reinterpret_cast<const char*>(sums_ + r * width_), DType::f32, columns_);
  }

 private:
  const Kernels& k_;
  const Tensor& c_;
  int64_t row_, column_, rows_, columns_, width_ = 0;
  bool direct_, load_;
  float* sums_ = nullptr;
};

// Rows of a as the left operand: as they lie where dtype, length and index allow, otherwise a
// padded copy.
void left_from_rows(const Arithmetic& math, Product& product, const Tensor& a, const int32_t* index,
                    int64_t row, int64_t inner_begin, int64_t rows, int64_t inner) {
  product.rows = rows;
  product.steps = math.steps(inner);
  product.a_step = 4;
  if (a.dtype == math.dtype && inner % math.unit == 0 && (!index || rows == 1)) {
    product.a = at(a, index ? index[row] : row, inner_begin);
    product.a_row = row_bytes(a);
    return;
  }
  const int64_t bytes = math.bytes(math.padded(inner));
  char* copy = scratch(left_slot, rows * bytes);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t from = index ? index[row + r] : row + r;
    convert_row(math.k, copy + r * bytes, math.dtype, at(a, from, inner_begin), a.dtype, inner);
    std::memset(copy + r * bytes + math.bytes(inner), 0, bytes - math.bytes(inner));
  }
  product.a = copy;
  product.a_row = bytes;
}

// Rows of `weight` [begin, end) in the dtype of the packed matrix, one after another.
struct ConvertedRows {
  const char* data;
  int64_t row;
};

ConvertedRows converted_rows(const Arithmetic& math, const Tensor& weight, int64_t begin,
                             int64_t end) {
  if (weight.dtype == math.dtype) return {at(weight, begin, 0), row_bytes(weight)};
  const int64_t bytes = math.bytes(weight.columns());
  char* copy = scratch(left_slot, (end - begin) * bytes);
  for (int64_t r = begin; r < end; ++r)
    convert_row(math.k, copy + (r - begin) * bytes, math.dtype, at(weight, r, 0), weight.dtype,
                weight.columns());
  return {copy, bytes};
}

// Rows that lie in the middle of a panel or of a pair: element by element.
template <typename Position>
void place_rows(const Arithmetic& math, const PackedMatrix& packed, const Tensor& weight,
                int64_t begin, int64_t end, const Position& position) {
  const ConvertedRows rows = converted_rows(math, weight, begin, end);
  char* out = reinterpret_cast<char*>(packed.storage.data);
  for (int64_t r = begin; r < end; ++r)
    for (int64_t c = 0; c < weight.columns(); ++c)
      std::memcpy(out + math.bytes(position(r, c)),
                  rows.data + (r - begin) * rows.row + math.bytes(c), math.element);
}

// Rows [begin, end) of `weight` to rows row_offset + begin and on; begin is a multiple of 16.
void pack_rows(const Arithmetic& math, const PackedMatrix& packed, const Tensor& weight,
               int64_t row_offset, int64_t begin, int64_t end) {
  if (row_offset % panel_width != 0) {
    place_rows(math, packed, weight, begin, end,
               [&](int64_t r, int64_t c) { return packed_index(packed, row_offset + r, c); });
    return;
  }
  const int64_t panel = math.bytes(panel_elements(packed));
  const ConvertedRows rows = converted_rows(math, weight, begin, end);
  char* out =
      reinterpret_cast<char*>(packed.storage.data) + (row_offset + begin) / panel_width * panel;
  panels_from_rows(math, out, panel, rows.data, rows.row, end - begin, packed.inner);
}

// Row r of what a file stores.
void widen_row(const Kernels& k, const StoredMatrix& matrix, int64_t r, float* out) {
  const char* in = reinterpret_cast<const char*>(matrix.row(r));
  if (matrix.format == BlockFormat::f16) return k.widen_f16(out, in, matrix.columns);
  if (matrix.format != BlockFormat::f8_e4m3) return dequantize_rows(matrix, r, r + 1, out);
  const int64_t blocks = (matrix.columns + f8_scale_block - 1) / f8_scale_block;
  const int64_t stored_row = matrix.row_order ? matrix.row_order[r] : r;
  const std::byte* scales = matrix.scales + stored_row / f8_scale_block * blocks * 4;
  for (int64_t c = 0; c < matrix.columns; c += f8_scale_block, scales += 4) {
    float scale;
    std::memcpy(&scale, scales, 4);
    k.widen_f8(out + c, in + c, std::min(f8_scale_block, matrix.columns - c), scale);
  }
}

// Rows [begin, end) of what a file stores in the packing's dtype: as they lie, or in scratch.
Tensor rows_of_numbers(const Arithmetic& math, const StoredMatrix& matrix, int64_t begin,
                       int64_t end) {
  const bool same =
      matrix.format == (math.dtype == DType::bf16 ? BlockFormat::bf16 : BlockFormat::f32);
  if (same && !matrix.row_order)  // only read
    return {const_cast<std::byte*>(matrix.row(begin)), math.dtype, {end - begin, matrix.columns}};
  const int64_t row = math.bytes(matrix.columns);
  char* memory = scratch(right_slot, (end - begin) * row);
  for (int64_t r = begin; r < end; ++r) {
    char* out = memory + (r - begin) * row;
    if (same) {
      std::memcpy(out, matrix.row(r), row);
    } else if (math.dtype == DType::f32) {
      widen_row(math.k, matrix, r, reinterpret_cast<float*>(out));
    } else {
      float* numbers = reinterpret_cast<float*>(scratch(left_slot, matrix.columns * 4));
      widen_row(math.k, matrix, r, numbers);
      math.k.round(reinterpret_cast<uint16_t*>(out), numbers, matrix.columns);
    }
  }
  return {memory, math.dtype, {end - begin, matrix.columns}};
}

// The panels of rows [begin, end), begin a multiple of 16; of a mapped matrix in scratch.
const char* panels_of(const Arithmetic& math, const PackedMatrix& b, int64_t begin, int64_t end) {
  const int64_t panel = math.bytes(panel_elements(b));
  if (!b.is_mapped())
    return reinterpret_cast<const char*>(b.storage.data) + begin / panel_width * panel;
  const int64_t rows = end - begin, bytes = round_up(rows, panel_width) / panel_width * panel;
  char* out = scratch(mapped_slot, bytes);
  const bool padded = rows % panel_width != 0 || math.bytes(b.inner) * panel_width != panel;
  if (padded) std::memset(out, 0, static_cast<size_t>(bytes));
  PackedMatrix part = b;
  part.rows = rows;
  part.storage.data = reinterpret_cast<std::byte*>(out);
  for (int64_t r = begin; r < end; r += panel_width) {
    const int64_t last = std::min(r + panel_width, end);
    pack_rows(math, part, rows_of_numbers(math, b.mapped, r, last), r - begin, 0, last - r);
  }
  return out;
}

}  // namespace

void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset) {
  const Arithmetic math(packed.storage.dtype);
  parallel_ranges(weight.rows(), panel_width, [&](int64_t begin, int64_t end) {
    pack_rows(math, packed, weight, row_offset, begin, end);
  });
}

void pack_stored(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset) {
  if (is_integer(packed.packing)) return pack_integers(packed, matrix, row_offset);
  const Arithmetic math(packed.storage.dtype);
  parallel_ranges(matrix.rows, panel_width, [&](int64_t begin, int64_t end) {
    const Tensor rows = rows_of_numbers(math, matrix, begin, end);
    pack_rows(math, packed, rows, row_offset + begin, 0, end - begin);
  });
}

void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset) {
  const Arithmetic math(packed.storage.dtype);
  const int64_t panel = math.bytes(panel_elements(packed));
  // The other half of a pair may belong to another weight.
  const bool whole_pairs =
      inner_offset % math.per_step == 0 &&
      (weight.rows() % math.per_step == 0 || inner_offset + weight.rows() == packed.inner);
  constexpr int64_t rows_per_task = 16;
  parallel_ranges(weight.rows(), rows_per_task, [&](int64_t begin, int64_t end) {
    if (!whole_pairs) {
      place_rows(math, packed, weight, begin, end,
                 [&](int64_t r, int64_t c) { return packed_index(packed, c, inner_offset + r); });
      return;
    }
    const ConvertedRows rows = converted_rows(math, weight, begin, end);
    char* out =
        reinterpret_cast<char*>(packed.storage.data) + (inner_offset + begin) / math.per_step * 64;
    panels_from_columns(math, out, panel, 64, rows.data, rows.row, end - begin, packed.rows);
  });
}

namespace {

// Rows of a, and columns of b, that a task of a plain product takes at most.
constexpr int64_t tile_rows = 96, tile_columns = 256;

// Rows [row, row + rows) of a times b's rows [column, column + columns) into those columns of sums,
// whose first row is the first of them.
struct TileProduct {
  const Arithmetic& math;
  const Tensor& a;
  const int32_t* index;
  const PackedMatrix& b;
  bool accumulate;

  void operator()(const Tensor& c, int64_t c_row, int64_t c_column, int64_t row, int64_t rows,
                  int64_t column, int64_t columns) const {
    const int64_t inner = b.inner, block = piece(inner, block_bytes / math.element, 32);
    const char* panels = panels_of(math, b, column, column + columns);
    Destination sums(math.k, c, c_row, c_column, rows, columns, accumulate, inner <= block);
    for (int64_t k = 0; k < inner; k += block) {
      Product product{};
      left_from_rows(math, product, a, index, row, k, rows, std::min(block, inner - k));
      product.b = panels + k / math.per_step * 64;
      product.b_panel = math.bytes(panel_elements(b));
      sums.add(math, product);
    }
    sums.finish();
  }
};

}  // namespace

void matmul_batched(const Products& p) {
  if (p.b.empty()) return;
  if (is_integer(p.b[0].packing)) return matmul_integers(p);
  const Arithmetic math(p.b[0].storage.dtype);
  std::vector<int64_t> product_rows;
  for (const Tensor& result : p.c) product_rows.push_back(result.rows());
  // Panels of a mapped matrix that few rows use once stay in the second cache; rows that an index
  // names are copied for each tile, which pays when it is wide.
  const bool few = *std::max_element(product_rows.begin(), product_rows.end()) <= few_rows;
  const int64_t width = few && p.b[0].is_mapped() ? 64 : tile_columns * (p.index.empty() ? 1 : 4);
  const int64_t halves = p.h.empty() ? 1 : 2;
  const Tiling tiling(product_rows, p.b[0].rows / halves, tile_rows, width / halves);
  const int64_t rows_in_all = std::accumulate(product_rows.begin(), product_rows.end(), int64_t{0});
  const int64_t elements = p.b[0].rows * p.b[0].inner;
  run_tiles(tiling, rows_in_all * elements,
            static_cast<int64_t>(p.b.size()) * elements * math.element, p,
            [&](int64_t i, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
              const int32_t* index = p.index.empty() ? nullptr : p.index[i];
              TileProduct{math, p.a[i], index, p.b[i], p.accumulate}(
                  p.c[i], row, column, row, row_end - row, column, column_end - column);
            });
}

void matmul_scatter(const Tensor& c, const int32_t* index, const Tensor& a,
                    std::span<const PackedMatrix> b, std::span<const int64_t> offsets) {
  if (b.empty() || offsets.front() == offsets.back()) return;
  if (is_integer(b[0].packing)) return scatter_integers(c, index, a, b, offsets);
  const Arithmetic math(b[0].storage.dtype);
  const int64_t elements = b[0].rows * b[0].inner;
  const int64_t width = b[0].is_mapped() && most_rows(offsets) <= few_rows ? 64 : tile_columns;
  Scatter(c, index, offsets, tile_rows, width)
      .run((offsets.back() - offsets.front()) * elements, elements * math.element,
           [&](int64_t g, int64_t row, int64_t row_end, int64_t column, int64_t column_end,
               const Tensor& sums) {
             TileProduct{math, a, nullptr, b[g], false}(sums, 0, 0, row, row_end - row, column,
                                                        column_end - column);
           });
}

void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const IndexedRows& dy_rows,
                                    const IndexedRows& x_rows, std::span<const int64_t> offsets,
                                    bool accumulate) {
  if (dw.empty()) return;
  const Tensor &dy = dy_rows.tensor, &x = x_rows.tensor;
  const Arithmetic math = Arithmetic::of_rows(dy.dtype);
  const int64_t block = 1024 / math.element;  // tokens
  const std::vector<int64_t> group_rows(dw.size(), dy.columns());
  const Tiling tiling(group_rows, x.columns(), 128, 256);
  const int64_t operations =
      (offsets.back() - offsets.front()) * dy.columns() * x.columns() +
      (accumulate ? 0 : static_cast<int64_t>(dw.size()) * dy.columns() * x.columns());
  // Where a block of rows begins, and the index that counts from there.
  const auto rows_from = [](const IndexedRows& rows, int64_t row, int64_t column) {
    const int32_t* index = rows.index ? rows.index.as<int32_t>() + row : nullptr;
    return std::pair(at(rows.tensor, index ? 0 : row, column), index);
  };
  tiling.run(
      operations, 0,
      [&](int64_t g, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
        const int64_t rows = row_end - row, columns = column_end - column;
        const int64_t tokens = offsets[g + 1] - offsets[g];
        Destination tile(math.k, dw[g], row, column, rows, columns, accumulate, tokens <= block);
        for (int64_t t = 0; t < tokens; t += block) {
          const int64_t count = std::min(block, tokens - t), token = offsets[g] + t;
          Product product{};
          const auto [dy_at, dy_index] = rows_from(dy_rows, token, row);
          char* left = scratch(left_slot, left_bytes(math, block, rows));
          left_from_columns(math, product, left, dy_at, row_bytes(dy), count, rows, dy_index);
          const auto [x_at, x_index] = rows_from(x_rows, token, column);
          char* right = scratch(right_slot, right_bytes(math, block, columns));
          right_from_columns(math, product, right, x_at, row_bytes(x), count, columns, x_index);
          tile.add(math, product);
        }
        tile.finish();
      });
}

}  // namespace minke::cpu
