#include "kernels/cpu/attention_block.h"

#include <cstring>

namespace minke::cpu {

AttentionShape::AttentionShape(const Arithmetic& math, const Tensor& q, const AttentionKeys& keys)
    : heads(q.shape[1]),
      key_heads(keys.k.shape[1]),
      group(heads / key_heads),
      nope(keys.k.shape[2]),
      rope(q.shape[2] - nope),
      v_dim(keys.v.shape[2]),
      nope_padded(math.padded(nope)),
      width(nope_padded + math.padded(rope)) {}

void copy_parts(const Arithmetic& math, const AttentionShape& shape, char* out, const char* nope,
                const char* rope) {
  if (shape.width != shape.nope + shape.rope) std::memset(out, 0, math.bytes(shape.width));
  std::memcpy(out, nope, math.bytes(shape.nope));
  if (shape.rope > 0)
    std::memcpy(out + math.bytes(shape.nope_padded), rope, math.bytes(shape.rope));
}

void copy_query(const Arithmetic& math, const AttentionShape& shape, char* out, const Tensor& q,
                int64_t query, int64_t head) {
  const char* row = address(q, query, head);
  prefetch(address(q, query + rows_ahead, head), math.bytes(shape.nope + shape.rope));
  copy_parts(math, shape, out, row, row + math.bytes(shape.nope));
}

char* gather_keys(const Arithmetic& math, const AttentionShape& shape, const AttentionKeys& keys,
                  const AttentionSequence& sequence, int64_t begin, int64_t count,
                  int64_t key_head) {
  const int64_t row = math.bytes(shape.width);
  char* out = scratch(key_rows_slot, key_block * row);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t key = sequence.key_row(begin + i);
    prefetch(address(keys.k, key + rows_ahead, key_head), math.bytes(shape.nope));
    prefetch(address(keys.v, key, key_head), math.bytes(shape.v_dim));
    copy_parts(math, shape, out + i * row, address(keys.k, key, key_head),
               shape.rope > 0 ? address(keys.k_rope, key, 0) : nullptr);
  }
  return out;
}

void right_from_rows(const Arithmetic& math, Product& product, char* out, const char* rows,
                     int64_t row_bytes, int64_t count, int64_t inner) {
  const int64_t panel = math.steps(inner) * 64;
  product.panels = round_up(count, panel_width) / panel_width;
  if (math.padded(inner) != inner) std::memset(out, 0, product.panels * panel);
  panels_from_rows(math, out, panel, rows, row_bytes, count, inner);
  product.b = out;
  product.b_panel = panel;
  product.steps = math.steps(inner);
}

}  // namespace minke::cpu
