#include <algorithm>

#include "config/parameters.h"
#include "plan/local_plan.h"

namespace minke {
namespace {

constexpr int64_t f32 = 4, i32 = 4, bf16 = 2;

int64_t round_to(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Adds up allocations as an arena does.
class Sum {
 public:
  void add(int64_t element_bytes, int64_t elements, int64_t times = 1) {
    bytes_ += round_to(element_bytes * elements, 64) * times;
  }
  // A weight [rows, inner] and, where it trains, its transpose in the kernels' layout.
  void add_packed(int64_t element_bytes, int64_t rows, int64_t inner, int64_t times = 1) {
    for (const auto& [r, i] : {std::pair(rows, inner), std::pair(inner, rows)})
      add(element_bytes, round_to(r, 16) * (element_bytes == bf16 ? round_to(i, 32) : i), times);
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

// The activations of a micro-batch, layer by layer; follows layers/*.h.
class Activations {
 public:
  explicit Activations(const TrainConfig& config)
      : c_(config.model),
        tokens_(config.batch.micro_batch * config.data.sequence_length),
        compute_(config.compute == ComputeDType::f32 ? f32 : bf16),
        recompute_(config.recompute) {}

  int64_t bytes() {
    const int64_t depth = c_.num_nextn_predict_layers, hidden = c_.hidden_size;
    sum_.add(i32, tokens_, depth + 3);  // positions and shifted tokens
    if (c_.ngram_vocab_size > 0) sum_.add(i32, tokens_ * (c_.max_ngram_size - 1));  // rows
    sum_.add(f32, tokens_ * hidden);                                                // embedded
    add_scratch();
    for (int64_t i = 0; i < c_.num_hidden_layers + depth; ++i) add_block(i);
    for (int64_t k = 0; k < depth; ++k) {  // a module's embedding, input, joined twice, normed
      sum_.add(f32, tokens_ * hidden, 2);
      sum_.add(compute_, tokens_ * 2 * hidden, 2);
      sum_.add(compute_, tokens_ * hidden);
    }
    add_head();
    sum_.add(compute_, tokens_ * hidden, depth + 2);  // normed, dnormed
    sum_.add(f32, tokens_ * hidden, depth + 1 + (depth > 0));
    return sum_.bytes();
  }

 private:
  int64_t rows() const { return tokens_ * c_.num_experts_per_tok; }
  int64_t query_width() const { return c_.num_attention_heads * c_.qk_head_dim(); }
  int64_t key_width() const {
    return c_.num_attention_heads * (c_.qk_nope_head_dim + c_.v_head_dim);
  }
  // Of the product that reads the layer's input: MLA's down-projections, or q, k and v.
  int64_t input_width() const {
    if (!c_.is_mla()) return query_width() + 2 * c_.num_key_value_heads * c_.head_dim;
    return (c_.q_lora_rank ? c_.q_lora_rank : query_width()) + c_.kv_lora_rank +
           c_.qk_rope_head_dim;
  }
  int64_t output_width() const {
    return c_.num_attention_heads * (c_.is_mla() ? c_.v_head_dim : c_.head_dim);
  }
  int64_t shared_width() const { return c_.n_shared_experts * c_.moe_intermediate_size; }
  bool any_layer(bool moe) const {
    for (int64_t i = 0; i < c_.num_hidden_layers + c_.num_nextn_predict_layers; ++i)
      if (c_.is_moe_layer(i) == moe) return true;
    return false;
  }

  // What attention makes of that product: MLA's up-projections, or normed queries and keys.
  void add_attention_inputs() {
    if (!c_.is_mla()) {
      if (c_.has_qk_norm())
        sum_.add(compute_, tokens_ * (query_width() + c_.num_key_value_heads * c_.head_dim));
      return;
    }
    if (c_.q_lora_rank) {
      sum_.add(compute_, tokens_ * c_.q_lora_rank);
      sum_.add(compute_, tokens_ * query_width());
    }
    sum_.add(compute_, tokens_ * c_.kv_lora_rank);
    sum_.add(compute_, tokens_ * key_width());
  }

  void add_recomputed_moe() {
    sum_.add(compute_, rows() * c_.moe_intermediate_size);
    if (shared_width()) sum_.add(compute_, tokens_ * shared_width());
  }

  // What all blocks share, one after the other.
  void add_scratch() {
    sum_.add(compute_, tokens_ * c_.hidden_size);
    sum_.add(f32, tokens_ * c_.hidden_size);
    sum_.add(compute_, tokens_ * output_width());
    sum_.add(compute_, tokens_ * c_.num_attention_heads * c_.qk_rope_head_dim);
    sum_.add(compute_, tokens_ * input_width());
    add_attention_inputs();
    if (recompute_) {
      sum_.add(compute_, tokens_ * c_.hidden_size, 2);
      add_attention_inputs();
    }
    if (any_layer(false)) {
      sum_.add(compute_, tokens_ * c_.intermediate_size, recompute_ ? 2 : 1);
      sum_.add(compute_, tokens_ * 2 * c_.intermediate_size);
    }
    if (any_layer(true)) add_moe_scratch();
  }

  void add_moe_scratch() {
    sum_.add(f32, tokens_ * c_.hidden_size);
    sum_.add(f32, tokens_ * c_.n_routed_experts, 3);
    sum_.add(f32, rows(), 2);
    sum_.add(compute_, rows() * c_.moe_intermediate_size);
    sum_.add(compute_, rows() * 2 * c_.moe_intermediate_size);
    if (shared_width()) {
      sum_.add(compute_, tokens_ * shared_width());
      sum_.add(compute_, tokens_ * 2 * shared_width());
    }
    if (recompute_) add_recomputed_moe();
  }

  void add_block(int64_t index) {
    sum_.add(f32, tokens_ * c_.hidden_size, 2);
    sum_.add(compute_, tokens_ * input_width());
    sum_.add(compute_, tokens_ * output_width());
    sum_.add(f32, tokens_ * c_.num_attention_heads);
    if (!recompute_) {
      add_attention_inputs();
      sum_.add(compute_, tokens_ * c_.hidden_size, 2);
    }
    if (c_.is_moe_layer(index)) return add_moe();
    sum_.add(compute_, tokens_ * 2 * c_.intermediate_size);
    if (!recompute_) sum_.add(compute_, tokens_ * c_.intermediate_size);
  }

  void add_moe() {
    sum_.add(f32, tokens_ * c_.n_routed_experts);
    sum_.add(f32, rows(), 5);  // indices, weights, and the route: tokens, weights, and back
    sum_.add(compute_, rows() * 2 * c_.moe_intermediate_size);
    if (shared_width()) sum_.add(compute_, tokens_ * 2 * shared_width());
    if (!recompute_) add_recomputed_moe();
  }

  // Logits of one chunk: about 2^21 elements, at least 64 tokens.
  void add_head() {
    const int64_t chunk = std::min(tokens_, std::max<int64_t>(64, (1 << 21) / c_.vocab_size));
    sum_.add(f32, chunk * c_.vocab_size);
    sum_.add(compute_, chunk * c_.vocab_size);
    sum_.add(f32, tokens_);
  }

  const ModelConfig& c_;
  int64_t tokens_, compute_;
  bool recompute_;
  Sum sum_;
};

int64_t packed_bytes(const ModelShape& shape, int64_t compute) {
  Sum sum;
  sum.add_packed(compute, shape.vocab, shape.hidden);
  for (const auto* layers : {&shape.layers, &shape.mtp})
    for (const LayerShape& layer : *layers)
      for (const Product& product : layer.products)
        sum.add_packed(product.part == "router" ? f32 : compute, product.out, product.in,
                       product.copies);
  return sum.bytes();
}

// Muon's scratch for one thread: three copies of the largest matrix, two squares, and one packed.
int64_t muon_scratch(const TrainConfig& config) {
  int64_t elements = 0, square = 0, packed = 0;
  const int64_t compute = config.compute == ComputeDType::f32 ? f32 : bf16;
  for (const Parameter& parameter : list_parameters(config.model)) {
    if (parameter.kind != ParameterKind::matrix) continue;
    const int64_t r = std::min(parameter.shape[0], parameter.shape[1]);
    const int64_t c = std::max(parameter.shape[0], parameter.shape[1]);
    elements = std::max(elements, r * c);
    square = std::max(square, r * r);
    packed = std::max(packed, compute * round_to(r, 32) * round_to(c, 32));
  }
  return f32 * (3 * elements + 2 * square) + packed;
}

}  // namespace

LocalMemory local_memory(const TrainConfig& config, int threads) {
  LocalMemory memory;
  const ModelShape shape = shape_of(config.model);
  const int64_t parameters = shape.parameters() + shape.mtp_parameters();
  memory.weights = 2 * f32 * parameters;
  memory.optimizer = 2 * parameters * (config.optimizer.moment_dtype == "bf16" ? bf16 : f32);
  if (config.optimizer.ema_decay > 0) memory.optimizer += f32 * parameters;
  if (config.optimizer.kind == OptimizerKind::muon)
    memory.optimizer += threads * muon_scratch(config);
  memory.packed = packed_bytes(shape, config.compute == ComputeDType::f32 ? f32 : bf16) +
                  f32 * config.data.sequence_length * config.model.rotary_dim();
  memory.activations = Activations(config).bytes();
  return memory;
}

}  // namespace minke
