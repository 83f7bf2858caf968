#pragma once
// Embedding rows, and losses of one chunk of logits f32 [T, V] with their gradients.

#include "tensor/tensor.h"

namespace minke {

// y [T, n] = table f32 [V, n] at ids i32 [T]. An id outside the table is an Error that names it.
void embedding_forward(const Tensor& y, const Tensor& table, const Tensor& ids);
// dtable f32 [V, n] += dy rows, tokens in order. ids i32 [T], or [T, k] where a token has several
// rows; a negative id has none.
void embedding_backward(const Tensor& dtable, const Tensor& dy, const Tensor& ids);

// losses f32 [T] = w·(−log softmax(logits)[target]), 0 where the target is negative (ignored).
// dlogits [T, V] (f32 or bf16; empty: not wanted) = gradient_scale·w·(softmax − onehot). weights
// f32 [T]: w by row; empty: 1.
void cross_entropy(const Tensor& losses, const Tensor& dlogits, const Tensor& logits,
                   const Tensor& targets, float gradient_scale, const Tensor& weights = Tensor());

// Of each row's distribution p = softmax(logits); f32 [T] each.
struct TargetProbabilities {
  Tensor log_probability;  // log p[target]
  Tensor log_sum;          // log Σ exp(logits), for the gradient
};
// targets i32 [T], all inside the vocabulary.
void target_log_probabilities(const TargetProbabilities& out, const Tensor& logits,
                              const Tensor& targets);
// dlogits [T, V] = slope·(onehot − softmax), where slope f32 [T] = dLoss / d log p[target].
void target_log_probabilities_backward(const Tensor& dlogits, const Tensor& logits,
                                       const Tensor& log_sum, const Tensor& targets,
                                       const Tensor& slope);

// losses f32 [T] = w·KL(p ‖ q), p = softmax(logits), q = softmax(teacher), each over the same V.
// dlogits (empty: not wanted) = gradient_scale·w·p·(log p − log q − KL). weights as above.
void reverse_kl(const Tensor& losses, const Tensor& dlogits, const Tensor& logits,
                const Tensor& teacher, float gradient_scale, const Tensor& weights = Tensor());

// logits · factor, in place.
void scale_logits(const Tensor& logits, float factor);

}  // namespace minke
