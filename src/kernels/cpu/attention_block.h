#pragma once
// What the forward and the backward pass of attention share: the shape of a problem, and copies of
// rows of it in the layout that products take.

#include "kernels/attention.h"
#include "kernels/cpu/panels.h"

namespace minke::cpu {

// Rows of queries: with more of them, the first would see fewer of the last keys.
constexpr int64_t row_block = 32;
constexpr int64_t key_block = 128;  // keys; blocks begin at multiples of it in every sequence

// Widths of a problem. Inside, a row of q or k is its nope part and its rope part, each padded with
// zeros, so that pairs never straddle the two.
struct AttentionShape {
  AttentionShape(const Arithmetic& math, const Tensor& q, const AttentionKeys& keys);

  int64_t heads, key_heads, group;  // group: heads that share a key head
  int64_t nope, rope, v_dim;
  int64_t nope_padded, width;  // width: of a padded row
};

inline char* address(const Tensor& t, int64_t row, int64_t head) {
  return reinterpret_cast<char*>(t.data) +
         (row * t.stride[0] + head * t.stride[1]) * dtype_bytes(t.dtype);
}

// Rows of a head lie far apart, too far for the CPU to foresee: loops over them ask ahead, by this
// many.
constexpr int64_t rows_ahead = 8;
inline void prefetch(const char* row, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
}

// Scratch slots of attention, after those of the products.
enum AttentionSlot : int {
  key_rows_slot = 4,
  key_panels_slot,
  value_panels_slot,
  key_columns_slot,
  query_slot,
  dout_slot,
  scores_slot,
  dscores_slot,
  p_slot,
  ds_slot,
  left_operand_slot,
  right_operand_slot,
  sums_of_rows_slot,
  dk_slot,
  dv_slot,
  statistics_slot,
  value_rows_slot,
  query_panels_slot,
  turned_scores_slot,
};

inline float* float_scratch(int slot, int64_t count) {
  return reinterpret_cast<float*>(scratch(slot, count * 4));
}

// One padded row [width] from its two parts.
void copy_parts(const Arithmetic& math, const AttentionShape& shape, char* out, const char* nope,
                const char* rope);

// A padded row of q.
void copy_query(const Arithmetic& math, const AttentionShape& shape, char* out, const Tensor& q,
                int64_t query, int64_t head);

// Keys [begin, begin + count) of a sequence and a key head as padded rows, in scratch; asks for
// their values too.
char* gather_keys(const Arithmetic& math, const AttentionShape& shape, const AttentionKeys& keys,
                  const AttentionSequence& sequence, int64_t begin, int64_t count,
                  int64_t key_head);

// Panels for a product with each of these rows, `inner` elements of which the product takes
// math.padded(inner); sets b, b_panel, panels and steps.
void right_from_rows(const Arithmetic& math, Product& product, char* out, const char* rows,
                     int64_t row_bytes, int64_t count, int64_t inner);

}  // namespace minke::cpu
