#include <algorithm>

#include "plan/local_serving.h"

namespace minke {
namespace {

constexpr int64_t f32 = 4, page = 64;

int64_t round_to(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// What one forward pass of inference needs beside the weights; follows layers/*.h.
class Scratch {
 public:
  Scratch(const ModelConfig& config, const LocalServingJob& job, int64_t keys)
      : c_(config),
        rows_(std::min(std::max(local_batch_tokens, job.batch), keys * job.batch)),
        keys_(keys),
        logits_(job.batch),
        element_(job.f32 ? 4 : 2) {}

  int64_t bytes() const {
    const int64_t base = 2 * f32 * rows_ + f32 * rows_ * c_.hidden_size;
    const int64_t layer =
        element_ * rows_ * c_.hidden_size +
        std::max(attention(),
                 std::max(any_layer(false) ? element_ * rows_ * 3 * c_.intermediate_size : 0,
                          any_layer(true) ? experts() : 0));
    const int64_t head = logits_ * c_.hidden_size * (f32 + element_);
    return base + std::max(layer, head) + f32 * logits_ * c_.vocab_size;
  }

 private:
  bool any_layer(bool moe) const {
    for (int64_t i = 0; i < c_.num_hidden_layers; ++i)
      if (c_.is_moe_layer(i) == moe) return true;
    return false;
  }

  int64_t attention() const {
    const int64_t heads = c_.num_attention_heads;
    if (!c_.is_mla()) {
      const int64_t rotated = (heads + c_.num_key_value_heads) * c_.head_dim;
      const int64_t elements = rotated + c_.num_key_value_heads * c_.head_dim +
                               (c_.has_qk_norm() ? rotated : 0) + heads * c_.head_dim;
      return rows_ * (element_ * elements + f32 * heads);
    }
    const int64_t queries = heads * c_.qk_head_dim(),
                  latent = c_.kv_lora_rank + c_.qk_rope_head_dim;
    const int64_t projected = (c_.q_lora_rank ? 2 * c_.q_lora_rank + queries : queries) + latent;
    const int64_t expanded = keys_ * (latent + heads * (c_.qk_nope_head_dim + c_.v_head_dim));
    const int64_t absorbed = rows_ * heads * (latent + c_.kv_lora_rank);
    return rows_ * (element_ * (projected + heads * c_.v_head_dim + latent) + f32 * heads) +
           element_ * std::max(expanded, absorbed);
  }

  // The gate's logits and scores, the route, and each chosen expert's hidden values.
  int64_t experts() const {
    const int64_t chosen = rows_ * c_.num_experts_per_tok, width = c_.moe_intermediate_size;
    const int64_t shared = c_.n_shared_experts * width;
    return f32 * (rows_ * 2 * c_.n_routed_experts + 5 * chosen) +
           element_ * (chosen * 3 * width + rows_ * 3 * shared);
  }

  const ModelConfig& c_;
  int64_t rows_, keys_, logits_, element_;
};

// MLA keeps the up-projections of keys and values twice: as one matrix for prompts, and for each
// head, the keys' half transposed, for generated tokens.
int64_t key_value_bytes(const ModelConfig& c, const StoredWeight& w, bool f32) {
  const int64_t heads = c.num_attention_heads, nope = c.qk_nope_head_dim, v = c.v_head_dim;
  const auto plain = BlockFormat::bf16;
  const auto absorbed_keys = [&](BlockFormat format) {
    return heads * packed_bytes(format, f32, c.kv_lora_rank, nope);
  };
  if (w.name.ends_with(".k_b_proj.weight"))
    return absorbed_keys(w.format) + packed_bytes(plain, f32, heads * nope, c.kv_lora_rank);
  const int64_t values = heads * packed_bytes(w.format, f32, v, c.kv_lora_rank);
  if (w.name.ends_with(".v_b_proj.weight"))
    return values + packed_bytes(plain, f32, heads * v, c.kv_lora_rank);
  return packed_bytes(w.format, f32, w.rows, w.columns) + absorbed_keys(plain) + values;
}

int64_t weight_bytes(const ModelConfig& config, const StoredWeight& w, bool f32_compute) {
  if (w.is_vector()) return f32 * w.size();
  const bool head = w.name == "lm_head.weight" ||
                    (config.tie_word_embeddings && w.kind == ParameterKind::embedding);
  const bool look_up = w.kind == ParameterKind::embedding || w.kind == ParameterKind::memory;
  if (look_up && !head) return 0;  // stays in the file
  if (w.is_key_value()) return key_value_bytes(config, w, f32_compute);
  return packed_bytes(w.format, f32_compute || w.kind == ParameterKind::router, w.rows, w.columns);
}

}  // namespace

LocalServingMemory local_serving_memory(const ModelConfig& config,
                                        std::span<const StoredWeight> weights,
                                        const LocalServingJob& job) {
  const int64_t tokens = std::max(job.context, job.prompt);
  const int64_t pages = job.batch * (round_to(tokens, page) / page);
  LocalServingMemory memory;
  for (const StoredWeight& weight : weights)
    memory.weights += weight_bytes(config, weight, job.f32);
  memory.weights += f32 * tokens * config.rotary_dim();
  memory.cache = pages * page * shape_of(config).cache_elements() * (job.f32 ? 4 : 2);
  memory.scratch = Scratch(config, job, round_to(tokens, page)).bytes();
  return memory;
}

}  // namespace minke
