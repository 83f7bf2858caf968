#include "plan/model_shape.h"

#include <algorithm>

namespace minke {
namespace {

// A causal sequence's mean number of keys for a query, itself included.
double mean_keys(int64_t context) { return (static_cast<double>(context) + 1) / 2; }

void add_ffn(LayerShape& layer, const std::string& part, int64_t hidden, int64_t width,
             int64_t uses = 1, int64_t copies = 1) {
  layer.products.push_back({part, hidden, 2 * width, uses, copies});
  layer.products.push_back({part, width, hidden, uses, copies});
}

void add_latent_attention(LayerShape& layer, const ModelConfig& c) {
  const std::string part = "attention";
  const int64_t heads = c.num_attention_heads, queries = heads * c.qk_head_dim();
  const int64_t latent = c.kv_lora_rank + c.qk_rope_head_dim;
  layer.products.push_back(
      {part, c.hidden_size, latent + (c.q_lora_rank ? c.q_lora_rank : queries)});
  if (c.q_lora_rank) layer.products.push_back({part, c.q_lora_rank, queries});
  layer.products.push_back({part, c.kv_lora_rank, heads * (c.qk_nope_head_dim + c.v_head_dim)});
  layer.products.push_back({part, heads * c.v_head_dim, c.hidden_size});
  layer.vectors += c.q_lora_rank + c.kv_lora_rank;
  layer.pair_flops = 2.0 * static_cast<double>(heads * (c.qk_head_dim() + c.v_head_dim));
  layer.absorbed_pair_flops = 2.0 * static_cast<double>(heads * (latent + c.kv_lora_rank));
  layer.cache_elements = latent;
}

void add_grouped_attention(LayerShape& layer, const ModelConfig& c) {
  const int64_t queries = c.num_attention_heads * c.head_dim;
  const int64_t keys = c.num_key_value_heads * c.head_dim;
  layer.products.push_back({"attention", c.hidden_size, queries + 2 * keys});
  layer.products.push_back({"attention", queries, c.hidden_size});
  if (c.has_qkv_bias()) layer.vectors += queries + 2 * keys;
  if (c.has_o_bias()) layer.vectors += c.hidden_size;
  if (c.has_qk_norm()) layer.vectors += 2 * c.head_dim;
  layer.pair_flops = layer.absorbed_pair_flops = 4.0 * static_cast<double>(queries);
  layer.cache_elements = 2 * keys;
}

void add_experts(LayerShape& layer, const ModelConfig& c) {
  layer.products.push_back({"router", c.hidden_size, c.n_routed_experts});
  if (c.topk_method == TopkMethod::noaux_tc) layer.vectors += c.n_routed_experts;
  if (c.n_shared_experts)
    add_ffn(layer, "shared experts", c.hidden_size, c.n_shared_experts * c.moe_intermediate_size);
  add_ffn(layer, "routed experts", c.hidden_size, c.moe_intermediate_size, c.num_experts_per_tok,
          c.n_routed_experts);
}

LayerShape layer_shape(const ModelConfig& c, int64_t index) {
  LayerShape layer;
  layer.heads = c.num_attention_heads;
  layer.vectors = 2 * c.hidden_size;
  if (c.is_mla())
    add_latent_attention(layer, c);
  else
    add_grouped_attention(layer, c);
  if (c.is_moe_layer(index)) {
    add_experts(layer, c);
    return layer;
  }
  add_ffn(layer, "dense FFN", c.hidden_size, c.intermediate_size);
  if (c.mlp_bias) layer.vectors += 2 * c.intermediate_size + c.hidden_size;
  return layer;
}

}  // namespace

int64_t LayerShape::parameters() const {
  int64_t sum = vectors;
  for (const Product& product : products) sum += product.parameters();
  return sum;
}

int64_t LayerShape::active() const {
  int64_t sum = vectors;
  for (const Product& product : products) sum += product.active();
  return sum;
}

double LayerShape::flops() const {
  double sum = 0;
  for (const Product& product : products) sum += product.flops();
  return sum;
}

int64_t LayerShape::experts_used() const {
  for (const Product& product : products)
    if (product.routed()) return product.uses;
  return 0;
}

int64_t LayerShape::experts() const {
  for (const Product& product : products)
    if (product.routed()) return product.copies;
  return 0;
}

bool LayerShape::is_moe() const { return experts() > 0; }

int64_t ModelShape::parameters() const {
  int64_t sum = final_norm + (tied ? 1 : 2) * head_parameters() + ngram_rows * hidden;
  for (const LayerShape& layer : layers) sum += layer.parameters();
  return sum;
}

int64_t ModelShape::active() const {
  int64_t sum = final_norm + (tied ? 1 : 2) * head_parameters() + ngram_rows_read * hidden;
  for (const LayerShape& layer : layers) sum += layer.active();
  return sum;
}

int64_t ModelShape::mtp_parameters() const {
  int64_t sum = 0;
  for (const LayerShape& layer : mtp) sum += layer.parameters();
  return sum;
}

int64_t ModelShape::cache_elements() const {
  int64_t sum = 0;
  for (const LayerShape& layer : layers) sum += layer.cache_elements;
  return sum;
}

double ModelShape::forward_flops(int64_t context, bool with_mtp) const {
  const double head = 2.0 * static_cast<double>(head_parameters());
  double sum = head;
  for (const LayerShape& layer : layers)
    sum += layer.flops() + layer.pair_flops * mean_keys(context);
  for (const LayerShape& layer : mtp)
    if (with_mtp) sum += head + layer.flops() + layer.pair_flops * mean_keys(context);
  return sum;
}

ModelShape shape_of(const ModelConfig& c) {
  ModelShape shape;
  shape.hidden = shape.final_norm = c.hidden_size;
  shape.vocab = c.vocab_size;
  shape.tied = c.tie_word_embeddings;
  if (c.ngram_vocab_size > 0) {
    shape.ngram_rows_read = c.max_ngram_size - 1;
    shape.ngram_rows = shape.ngram_rows_read * c.ngram_vocab_size;
  }
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) shape.layers.push_back(layer_shape(c, i));
  for (int64_t k = 0; k < c.num_nextn_predict_layers; ++k) {
    LayerShape module = layer_shape(c, c.num_hidden_layers + k);
    module.products.insert(module.products.begin(),
                           {"MTP projection", 2 * c.hidden_size, c.hidden_size});
    module.vectors += 3 * c.hidden_size;
    shape.mtp.push_back(std::move(module));
  }
  if (c.topk_method != TopkMethod::greedy) {
    shape.expert_groups = c.n_group;
    shape.groups_used = c.topk_group;
  }
  return shape;
}

std::vector<PartCost> cost_by_part(const ModelShape& shape, int64_t context) {
  std::vector<PartCost> parts;
  const auto part = [&](const std::string& name) -> PartCost& {
    const auto found =
        std::find_if(parts.begin(), parts.end(), [&](const PartCost& p) { return p.name == name; });
    return found != parts.end() ? *found : parts.emplace_back(PartCost{name});
  };
  const int64_t table = shape.head_parameters();
  part("embedding") = {"embedding", table, table, 0};
  if (shape.ngram_rows > 0)
    part("n-grams") = {"n-grams", shape.ngram_rows * shape.hidden,
                       shape.ngram_rows_read * shape.hidden, 0};
  PartCost norms{"norms and biases", shape.final_norm, shape.final_norm, 0};
  for (const LayerShape& layer : shape.layers) {
    for (const Product& product : layer.products) {
      part(product.part).parameters += product.parameters();
      part(product.part).active += product.active();
      part(product.part).forward_flops += product.flops();
      if (&product == &layer.products.front())
        part("attention scores").forward_flops += layer.pair_flops * mean_keys(context);
    }
    norms.parameters += layer.vectors;
    norms.active += layer.vectors;
  }
  parts.push_back(norms);
  parts.push_back(
      {"head", shape.tied ? 0 : table, shape.tied ? 0 : table, 2.0 * static_cast<double>(table)});
  return parts;
}

}  // namespace minke
