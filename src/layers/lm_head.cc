#include "layers/lm_head.h"

#include <algorithm>
#include <cstring>

#include "base/profile.h"
#include "kernels/elementwise.h"

namespace minke {

LmHead::LmHead(const LayerBuilder& builder)
    : compute_(builder.compute),
      training_(builder.training),
      linear_(builder, {"lm_head.weight"}) {}

// About 8 MB of f32 logits, and not fewer rows than keep a matrix product efficient.
int64_t LmHead::chunk_tokens() const {
  constexpr int64_t elements = 1 << 21, fewest = 64;
  return std::max(fewest, elements / linear_.out_features());
}

LmHead::Scratch LmHead::allocate_scratch(Arena& arena, int64_t tokens) const {
  const int64_t rows = std::min(tokens, chunk_tokens()), vocab = linear_.out_features();
  Scratch scratch;
  scratch.logits = arena.allocate(DType::f32, {rows, vocab});
  if (training_) scratch.dlogits = arena.allocate(compute_, {rows, vocab});
  scratch.losses = arena.allocate(DType::f32, {tokens});
  return scratch;
}

namespace {

void move_row(const Tensor& x, int64_t to, int64_t from) {
  const int64_t bytes = x.columns() * dtype_bytes(x.dtype);
  if (to != from)
    std::memcpy(x.data + to * bytes, x.data + from * bytes, static_cast<size_t>(bytes));
}

// The rows with a loss move to the front, so that only they are multiplied; spread_rows() undoes
// it.
std::vector<int32_t> gather_weighted_rows(const Tensor& x, std::span<const float> weights) {
  std::vector<int32_t> rows;
  for (int64_t t = 0; t < x.rows(); ++t) {
    if (weights[t] == 0.0f) continue;
    move_row(x, static_cast<int64_t>(rows.size()), t);
    rows.push_back(static_cast<int32_t>(t));
  }
  return rows;
}

// The first rows of x become `rows`, all others 0.
void spread_rows(const Tensor& x, std::span<const int32_t> rows) {
  size_t next = rows.size();
  for (int64_t t = x.rows(); t-- > 0;) {
    if (next > 0 && rows[next - 1] == t)
      move_row(x, t, static_cast<int64_t>(--next));
    else
      clear(x.slice_rows(t, t + 1));
  }
}

}  // namespace

double LmHead::loss(const Tensor& normed, const Tensor& targets, std::span<const float> weights,
                    const Scratch& scratch, const Tensor& dnormed, Objective& objective) const {
  const ProfilePart part("head");
  const std::vector<int32_t> rows = gather_weighted_rows(normed, weights);
  const int64_t count = static_cast<int64_t>(rows.size());
  std::vector<int32_t> chosen;
  std::vector<float> chosen_weights;
  for (const int32_t row : rows) {
    chosen.push_back(targets.as<int32_t>()[row]);
    chosen_weights.push_back(weights[row]);
  }
  for (int64_t begin = 0; begin < count; begin += chunk_tokens()) {
    const int64_t end = std::min(count, begin + chunk_tokens()), size = end - begin;
    const Tensor x = normed.slice_rows(begin, end);
    const LogitChunk chunk{{rows.data() + begin, rows.data() + end},
                           {chosen.data() + begin, DType::i32, {size}},
                           {chosen_weights.data() + begin, DType::f32, {size}},
                           scratch.logits.slice_rows(0, size),
                           scratch.losses.slice_rows(begin, end),
                           dnormed ? scratch.dlogits.slice_rows(0, size) : Tensor()};
    linear_forward(chunk.logits, x, linear_);
    objective.compute(chunk);
    if (dnormed) linear_backward(dnormed.slice_rows(begin, end), chunk.dlogits, x, linear_);
  }
  if (dnormed && count < normed.rows()) spread_rows(dnormed, rows);
  double sum = 0;
  for (int64_t t = 0; t < count; ++t) sum += scratch.losses.as<float>()[t];
  return sum;
}

}  // namespace minke
