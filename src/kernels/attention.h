#pragma once
// Causal attention, forward and backward, for MLA in both forms and for grouped queries.
//   S = scale·(q_n·k_n + q_r·k_r), P = softmax over keys at or before the query, o = P·v
// Backward (FlashAttention, Dao et al. 2022, section 3.1 and appendix B.2), P recomputed from lse:
//   D = Σ do⊙o, dv = Pᵀ·do, dS = P⊙(do·vᵀ − D), dq = scale·dS·k, dk = scale·dSᵀ·q
// A query's row has the same bits however the queries are split into calls. Memory is linear in the
// number of keys.

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace minke {

constexpr int64_t attention_page = 64;  // keys of one page

// One sequence inside the rows of q and of k, v. Query i (from 0) sits at key position
// (key_end − key_begin) − (query_end − query_begin) + i and sees all keys up to it.
struct AttentionSequence {
  int64_t query_begin, query_end;
  int64_t key_begin, key_end;
  // If given, key i lies in row pages[i / 64]·64 + i % 64 instead of row i; forward only, and
  // key_begin is 0.
  const int32_t* pages = nullptr;

  int64_t key_row(int64_t key) const {
    return pages ? pages[key / attention_page] * attention_page + key % attention_page : key;
  }
};

// Keys and values. Head h of the queries reads key head h / (heads / key_heads).
struct AttentionKeys {
  Tensor k;       // [S, key_heads, nope], strided
  Tensor k_rope;  // [S, rope], one for all heads; empty if rope = 0
  Tensor v;       // [S, key_heads, v_dim], strided
};

// q: [T, heads, nope + rope], the rope part last. out: [T, heads, v_dim]. lse: f32 [T, heads],
// log Σ exp of the scaled scores; may be empty. All but lse of one dtype, f32 or bf16; scores,
// softmax and sums are f32 in either.
void attention_forward(const Tensor& out, const Tensor& lse, const Tensor& q,
                       const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                       float scale);

// Overwrites dq (as q), dkeys.k, dkeys.v (as theirs) and dk_rope [S, heads, rope], which the caller
// sums over the heads. The rows not in any sequence are not touched.
void attention_backward(const Tensor& dq, const AttentionKeys& dkeys, const Tensor& dk_rope,
                        const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                        const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                        float scale);

}  // namespace minke
