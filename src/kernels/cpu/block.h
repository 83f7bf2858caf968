#pragma once
// What a file for one instruction set provides: products of small blocks and the row operations
// around them, on plain pointers. Everything above (cutting into tasks, packing, tails) is written
// once, in matmul.cc and attention.cc. Strides are in bytes unless said otherwise.

#include <cstdint>

namespace minke::cpu {

// c [rows, 16·panels] = a·Bᵀ, or c + a·Bᵀ if `load`. The sums run over `steps` in order, so cutting
// them into several calls changes no bit. A step is one f32 or a pair of bf16 of the inner
// dimension.
struct Product {
  int64_t rows, panels, steps;  // one row at least
  const char* a;                // element (row, step) at row·a_row + step·a_step
  int64_t a_row, a_step;
  const char* b;  // panels as in kernels/packed.h, 64 bytes a step
  int64_t b_panel;
  float* c;
  int64_t c_row;  // elements
  bool load;
  uint16_t* rounded;    // where the result goes as bf16, instead of c; null if not wanted
  int64_t rounded_row;  // elements
};

// One block of scores [rows, columns], columns a multiple of 16, of which row r sees the first
// visible[r]; probabilities of the others are exactly 0.
struct Scores {
  int64_t rows, columns;
  float* s;
  int64_t s_row;  // elements
  const int32_t* visible;
  float scale;
  char* p;  // probabilities, bf16 or f32 (then `s` itself is fine)
  int64_t p_row;
  bool bf16;
};

struct Kernels {
  // The inner dimension of multiply_bf16's operands is padded with zeros to a multiple of this.
  int64_t bf16_unit;
  // multiply_bf16 takes `a` with contiguous rows only (a_step = 4).
  bool bf16_rows_contiguous;
  // multiply_bf16 has instructions of its own; otherwise it widens its operands.
  bool bf16_products;
  void (*multiply_f32)(const Product& product);
  void (*multiply_bf16)(const Product& product);

  // out[c][r] = in[r][c] for elements of four bytes; columns and rows are counts of those.
  void (*transpose)(char* out, int64_t out_row, const char* in, int64_t in_row, int64_t rows,
                    int64_t columns);
  // Elements (even[i], odd[i]) side by side, 16 pairs to each panel; a missing odd row counts as
  // zero.
  void (*interleave)(char* out, int64_t out_panel, const uint16_t* even, const uint16_t* odd,
                     int64_t columns);
  void (*round)(uint16_t* out, const float* in, int64_t count);
  // Sixteen after the other, out_step bytes apart.
  void (*widen)(char* out, int64_t out_step, const uint16_t* in, int64_t count);
  void (*widen_f16)(float* out, const char* in, int64_t count);
  void (*widen_f8)(float* out, const char* in, int64_t count, float scale);
  float (*dot_f32)(const float* a, const float* b, int64_t count);
  float (*dot_bf16)(const uint16_t* a, const uint16_t* b, int64_t count);

  // Online softmax: raises maximum[r] to cover this block, p = exp(scale·s − maximum), and
  // total[r] = factor[r]·total[r] + Σ p with factor[r] = exp(old maximum − maximum).
  void (*softmax)(const Scores& scores, float* maximum, float* total, float* factor);
  // p = exp(scale·s − lse), ds = scale·p·(dp − d). dp has the stride of s, ds that and the dtype of
  // p.
  void (*softmax_backward)(const Scores& scores, const float* dp, const float* lse, const float* d,
                           char* ds);
  // x[r][i] *= factor[r].
  void (*scale_rows)(float* x, int64_t x_row, int64_t rows, int64_t columns, const float* factor);
};

extern const Kernels portable_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
void multiply_avx512_bf16(const Product& product);
void multiply_amx(const Product& product);
#endif

// A block of at least `bytes`, aligned to 64 bytes, that belongs to the calling thread until the
// thread asks for the same slot again.
char* scratch(int slot, int64_t bytes);
constexpr int widened_slot = 31;

// Those of active_isa(), which is not `reference`.
const Kernels& kernels();

}  // namespace minke::cpu
