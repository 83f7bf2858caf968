#pragma once
// Embedding rows and the cross-entropy of one chunk of logits.

#include "tensor/tensor.h"

namespace minke {

// y [T, n] = table f32 [V, n] at ids i32 [T]. An id outside the table is an Error that names it.
void embedding_forward(const Tensor& y, const Tensor& table, const Tensor& ids);
// dtable f32 [V, n] += dy rows, tokens in order.
void embedding_backward(const Tensor& dtable, const Tensor& dy, const Tensor& ids);

// losses f32 [T] = −log softmax(logits)[target], 0 where the target is negative (ignored). logits:
// f32 [T, V]. dlogits [T, V] (f32 or bf16; empty: not wanted) = gradient_scale·(softmax − onehot).
void cross_entropy(const Tensor& losses, const Tensor& dlogits, const Tensor& logits,
                   const Tensor& targets, float gradient_scale);

}  // namespace minke
