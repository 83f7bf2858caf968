#pragma once
// Operands in the layouts that the blocks take, for one dtype of arithmetic: the only place that
// knows about pairs of bf16, tails and tile registers. Strides are in bytes. Thread-safe on
// distinct outputs.

#include <cstdint>

#include "kernels/cpu/block.h"
#include "kernels/packed.h"

namespace minke::cpu {

// The arithmetic of one dtype on the active instruction set.
struct Arithmetic {
  explicit Arithmetic(DType dtype) : Arithmetic(dtype, dtype) {}
  // For operands that are packed on the way: where bf16 has no instructions, its products are those
  // of f32, which sum in the same order, and packing widens.
  static Arithmetic of_rows(DType dtype);

  // The inner dimension as the operands hold it, padded.
  int64_t padded(int64_t inner) const { return round_up(inner, unit); }
  // Steps of a product over `inner` elements.
  int64_t steps(int64_t inner) const { return padded(inner) / per_step; }
  int64_t bytes(int64_t elements) const { return elements * element; }

  const Kernels& k;
  DType dtype;       // of operands
  DType row_dtype;   // of what they are packed from by columns
  int64_t element;   // bytes
  int64_t per_step;  // elements of one step: 1 or 2
  int64_t unit;      // the inner dimension is padded to a multiple of this
  void (*multiply)(const Product&);

 private:
  Arithmetic(DType dtype, DType row_dtype);
};

// Panels from row-major rows [rows, inner], each row a column of the product. Writes elements, and
// the missing half of an odd pair, not the rest of the padding.
void panels_from_rows(const Arithmetic& math, char* out, int64_t out_panel, const char* in,
                      int64_t in_row, int64_t rows, int64_t inner);

// Panels from row-major columns [inner, columns]: column c of it is column c of the product. A step
// of a panel takes step_bytes (64 in a packed matrix). With an index, row i is row index[i] of
// `in`.
void panels_from_columns(const Arithmetic& math, char* out, int64_t out_panel, int64_t step_bytes,
                         const char* in, int64_t in_row, int64_t inner, int64_t columns,
                         const int32_t* index = nullptr);

// Bytes that left_from_columns() needs.
int64_t left_bytes(const Arithmetic& math, int64_t inner, int64_t rows);

// The left operand whose transpose lies row-major in `in` [inner, rows]: fills `out` and sets the
// product's a, a_row, a_step, rows and steps.
void left_from_columns(const Arithmetic& math, Product& product, char* out, const char* in,
                       int64_t in_row, int64_t inner, int64_t rows, const int32_t* index = nullptr);

// The same for the right operand, row-major in `in` [inner, columns]: sets b, b_panel and panels.
int64_t right_bytes(const Arithmetic& math, int64_t inner, int64_t columns);
void right_from_columns(const Arithmetic& math, Product& product, char* out, const char* in,
                        int64_t in_row, int64_t inner, int64_t columns,
                        const int32_t* index = nullptr);

// One row of `count` elements in another dtype.
void convert_row(const Kernels& k, char* out, DType out_dtype, const char* in, DType in_dtype,
                 int64_t count);

}  // namespace minke::cpu
