#pragma once
// The fast side of kernels/attention.h: blocks of queries against blocks of keys, online softmax.
// Arguments are checked by the caller.

#include "kernels/attention.h"

namespace minke::cpu {

void attention_forward(const Tensor& out, const Tensor& lse, const Tensor& q,
                       const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                       float scale);
void attention_backward(const Tensor& dq, const AttentionKeys& dkeys, const Tensor& dk_rope,
                        const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                        const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                        float scale);

}  // namespace minke::cpu
