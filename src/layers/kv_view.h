#pragma once
// Through which attention reads and fills the keys and values of inference: pages of 64 tokens in a
// pool that all sequences share. A sequence names its pages in order; page p is rows
// [64·p, 64·p + 64) of every layer's pool.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention.h"
#include "tensor/arena.h"

namespace minke {

constexpr int64_t page_tokens = attention_page;

// How MLA computes a token's attention: with the keys and values of all heads made from the latents
// (prompts), or on the latents themselves (generated tokens). Other layers have one form.
enum class AttentionForm { expanded, absorbed };

// Consecutive tokens of one sequence inside a batch.
struct BatchSegment {
  int64_t row_begin, row_end;      // rows of every activation
  int64_t past;                    // tokens before them, whose keys are in the pages
  std::span<const int32_t> pages;  // of the sequence, enough for past and these
  AttentionForm form;

  int64_t rows() const { return row_end - row_begin; }
  int64_t keys() const { return past + rows(); }
};

// What one forward pass of inference computes. Segments cover the rows in order, absorbed ones
// first.
struct Batch {
  Tensor positions;  // i32 [T], of each row inside its sequence
  std::vector<BatchSegment> segments;

  // Rows [0, absorbed_rows()) are absorbed.
  int64_t absorbed_rows() const;
};

// The pages of one layer: MLA keeps k = [c; rotated key] and no v, others k and v of each head.
struct KvPages {
  Tensor k;  // [64·pages, key_heads, head_dim], or [64·pages, 1, kv_lora + rope]
  Tensor v;  // [64·pages, key_heads, head_dim], or empty
};

// Copies the rows [T, ...] of a batch to where its sequences' pages have them in pool [64·pages,
// ...].
void store_rows(const Tensor& pool, const Tensor& rows, const Batch& batch);
// rows [segment.keys(), ...] = all keys of the segment's sequence from the pool.
void gather_pages(const Tensor& rows, const Tensor& pool, const BatchSegment& segment);
// What attention takes for a segment.
AttentionSequence attention_sequence(const BatchSegment& segment);

}  // namespace minke
