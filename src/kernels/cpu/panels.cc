#include "kernels/cpu/panels.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace minke::cpu {
namespace {

struct Free {
  void operator()(char* p) const { std::free(p); }
};

constexpr int slots = 32;

struct Buffer {
  std::unique_ptr<char, Free> data;
  int64_t bytes = 0;
};

void copy_to_panels(char* out, int64_t out_panel, const char* row, int64_t columns) {
  int64_t c = 0;
  for (; c + panel_width <= columns; c += panel_width, out += out_panel)
    std::memcpy(out, row + c * 4, panel_width * 4);  // of a constant size: no call
  if (c < columns) std::memcpy(out, row + c * 4, (columns - c) * 4);
}

}  // namespace

Arithmetic::Arithmetic(DType type, DType row_type)
    : k(kernels()),
      dtype(type),
      row_dtype(row_type),
      element(dtype_bytes(type)),
      per_step(type == DType::bf16 ? 2 : 1),
      unit(type == DType::bf16 ? k.bf16_unit : 1),
      multiply(type == DType::bf16 ? k.multiply_bf16 : k.multiply_f32) {}

Arithmetic Arithmetic::of_rows(DType dtype) {
  return {kernels().bf16_products ? dtype : DType::f32, dtype};
}

void panels_from_rows(const Arithmetic& math, char* out, int64_t out_panel, const char* in,
                      int64_t in_row, int64_t rows, int64_t inner) {
  const int64_t whole = inner / math.per_step;
  for (int64_t row = 0; row < rows; row += panel_width, out += out_panel) {
    const int64_t count = std::min(panel_width, rows - row);
    const char* from = in + row * in_row;
    math.k.transpose(out, 64, from, in_row, count, whole);
    if (inner % math.per_step == 0) continue;
    for (int64_t r = 0; r < count; ++r) {
      uint32_t pair = 0;
      std::memcpy(&pair, from + r * in_row + whole * 4, 2);
      std::memcpy(out + whole * 64 + r * 4, &pair, 4);
    }
  }
}

void panels_from_columns(const Arithmetic& math, char* out, int64_t out_panel, int64_t step_bytes,
                         const char* in, int64_t in_row, int64_t inner, int64_t columns,
                         const int32_t* index) {
  const auto row_of = [&](int64_t i) { return in + (index ? index[i] : i) * in_row; };
  for (int64_t i = 0; i < inner; i += math.per_step, out += step_bytes) {
    const char* row = row_of(i);
    if (math.row_dtype == DType::f32) {
      copy_to_panels(out, out_panel, row, columns);
      continue;
    }
    if (math.dtype == DType::f32) {
      math.k.widen(out, out_panel, reinterpret_cast<const uint16_t*>(row), columns);
      continue;
    }
    const char* next = i + 1 < inner ? row_of(i + 1) : nullptr;
    math.k.interleave(out, out_panel, reinterpret_cast<const uint16_t*>(row),
                      reinterpret_cast<const uint16_t*>(next), columns);
  }
}

int64_t left_bytes(const Arithmetic& math, int64_t inner, int64_t rows) {
  return math.bytes(math.padded(inner)) * round_up(rows, panel_width);
}

void left_from_columns(const Arithmetic& math, Product& product, char* out, const char* in,
                       int64_t in_row, int64_t inner, int64_t rows, const int32_t* index) {
  const bool turn = math.dtype == DType::bf16 && math.k.bf16_rows_contiguous;
  const int64_t steps = math.steps(inner), words = round_up(rows, panel_width);
  char* steps_first = turn ? scratch(0, steps * words * 4) : out;
  const int64_t filled = (inner + math.per_step - 1) / math.per_step;
  panels_from_columns(math, steps_first, 64, words * 4, in, in_row, inner, rows, index);
  std::memset(steps_first + filled * words * 4, 0, (steps - filled) * words * 4);
  if (turn) math.k.transpose(out, steps * 4, steps_first, words * 4, steps, words);
  product.a = out;
  product.a_row = turn ? steps * 4 : 4;
  product.a_step = turn ? 4 : words * 4;
  product.rows = rows;
  product.steps = steps;
}

namespace {

// Panels whose distance is a power of two would fall on the same lines of the cache.
int64_t right_panel_bytes(const Arithmetic& math, int64_t inner) {
  return (math.steps(inner) + 1) * 64;
}

}  // namespace

int64_t right_bytes(const Arithmetic& math, int64_t inner, int64_t columns) {
  return right_panel_bytes(math, inner) * (round_up(columns, panel_width) / panel_width);
}

void right_from_columns(const Arithmetic& math, Product& product, char* out, const char* in,
                        int64_t in_row, int64_t inner, int64_t columns, const int32_t* index) {
  const int64_t panel = right_panel_bytes(math, inner), used = math.steps(inner) * 64;
  const int64_t filled = (inner + math.per_step - 1) / math.per_step * 64;
  panels_from_columns(math, out, panel, 64, in, in_row, inner, columns, index);
  product.b = out;
  product.b_panel = panel;
  product.panels = round_up(columns, panel_width) / panel_width;
  for (int64_t p = 0; p < product.panels && filled < used; ++p)
    std::memset(out + p * panel + filled, 0, used - filled);
}

void convert_row(const Kernels& k, char* out, DType out_dtype, const char* in, DType in_dtype,
                 int64_t count) {
  if (out_dtype == in_dtype)
    std::memcpy(out, in, count * dtype_bytes(in_dtype));
  else if (out_dtype == DType::bf16)
    k.round(reinterpret_cast<uint16_t*>(out), reinterpret_cast<const float*>(in), count);
  else
    k.widen(out, 64, reinterpret_cast<const uint16_t*>(in), count);
}

char* scratch(int slot, int64_t bytes) {
  thread_local std::array<Buffer, slots> buffers;
  require(slot < slots, "scratch slot {} of {}", slot, slots);
  Buffer& buffer = buffers[slot];
  if (buffer.bytes < bytes) {
    const int64_t rounded = round_up(bytes, 4096);
    buffer.data.reset(static_cast<char*>(std::aligned_alloc(4096, rounded)));
    require(buffer.data != nullptr, "{} bytes of scratch memory", rounded);
    std::memset(buffer.data.get(), 0, rounded);
    buffer.bytes = rounded;
  }
  return buffer.data.get();
}

}  // namespace minke::cpu
