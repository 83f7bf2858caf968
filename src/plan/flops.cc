#include "plan/flops.h"

namespace minke {
namespace {

// Weights that multiply one token in a block, and its attention as if it were weights.
double block_weights(const ModelConfig& c, int64_t layer, int64_t sequence_length) {
  const double hidden = c.hidden_size, heads = c.num_attention_heads;
  const double q_width = heads * c.qk_head_dim();
  const double queries = c.q_lora_rank ? c.q_lora_rank * (hidden + q_width) : hidden * q_width;
  const double keys = hidden * (c.kv_lora_rank + c.qk_rope_head_dim) +
                      c.kv_lora_rank * heads * (c.qk_nope_head_dim + c.v_head_dim);
  const double out = heads * c.v_head_dim * hidden;
  const double attention = heads * (c.qk_head_dim() + c.v_head_dim) * (sequence_length + 1) / 2.0;
  const double experts = c.num_experts_per_tok + c.n_shared_experts;
  const double ffn = c.is_moe_layer(layer)
                         ? 3 * hidden * c.moe_intermediate_size * experts + hidden * c.n_routed_experts
                         : 3 * hidden * c.intermediate_size;
  return queries + keys + out + attention + ffn;
}

}  // namespace

double forward_flops_per_token(const ModelConfig& c, int64_t sequence_length, bool with_mtp) {
  const double head = static_cast<double>(c.vocab_size) * c.hidden_size;
  double weights = head;
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) weights += block_weights(c, i, sequence_length);
  for (int64_t k = 0; with_mtp && k < c.num_nextn_predict_layers; ++k)
    weights += 2.0 * c.hidden_size * c.hidden_size + head +
               block_weights(c, c.num_hidden_layers + k, sequence_length);
  return 2 * weights;
}

double training_flops_per_token(const ModelConfig& config, int64_t sequence_length) {
  return 3 * forward_flops_per_token(config, sequence_length, true);
}

}  // namespace minke
