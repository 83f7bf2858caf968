#pragma once
// What a model of any family is for a planner: the matrix products of each layer, what attention
// costs, and what a token leaves in the cache. Parameters, FLOPs, bytes and times all follow.

#include <cstdint>
#include <string>
#include <vector>

#include "config/model_config.h"

namespace minke {

// y = x·Wᵀ. Of `copies` matrices [out, in] a token uses `uses`: 1 of 1, or K of E experts.
struct Product {
  std::string part;  // "attention", "dense FFN", "routed experts", "shared experts", "router"
  int64_t in = 0, out = 0;
  int64_t uses = 1, copies = 1;

  int64_t parameters() const { return in * out * copies; }
  int64_t active() const { return in * out * uses; }
  double flops() const { return 2.0 * static_cast<double>(active()); }  // forward, one token
  bool routed() const { return copies > 1; }
};

struct LayerShape {
  std::vector<Product> products;
  int64_t vectors = 0;  // elements of norms and biases, trained or not
  // Attention of one query and one key: FLOPs with keys and values expanded (prompts, training),
  // and, for latent attention, with the up-projections absorbed into the query (generation).
  double pair_flops = 0, absorbed_pair_flops = 0;
  int64_t cache_elements = 0;  // that a token leaves in the cache
  int64_t heads = 0;

  int64_t parameters() const;
  int64_t active() const;
  double flops() const;  // products alone, forward, one token
  bool is_moe() const;
  // K and E of the routed experts, 0 without.
  int64_t experts_used() const;
  int64_t experts() const;
};

struct ModelShape {
  int64_t hidden = 0, vocab = 0;
  bool tied = false;
  std::vector<LayerShape> layers;
  std::vector<LayerShape> mtp;  // each with its projection and norms; shares embedding and head
  int64_t final_norm = 0;
  int64_t ngram_rows = 0, ngram_rows_read = 0;  // of n-gram tables, and those that one token reads
  int64_t expert_groups = 1, groups_used = 1;   // node-limited routing; 1 of 1: none

  int64_t head_parameters() const { return vocab * hidden; }
  // All parameters but MTP modules' (the published total), and those that one token uses, with the
  // embedding and the head.
  int64_t parameters() const;
  int64_t active() const;
  int64_t mtp_parameters() const;
  int64_t cache_elements() const;  // of all layers, for one token
  // FLOPs of one token's forward pass after `context` / 2 earlier tokens on average.
  double forward_flops(int64_t context, bool with_mtp) const;
};

ModelShape shape_of(const ModelConfig& config);

// One line of the table of parts.
struct PartCost {
  std::string name;
  int64_t parameters = 0, active = 0;
  double forward_flops = 0;  // one token
};

// Embedding, attention, its scores and values, the FFNs, norms, head, MTP; sums are the model's.
std::vector<PartCost> cost_by_part(const ModelShape& shape, int64_t context);

}  // namespace minke
