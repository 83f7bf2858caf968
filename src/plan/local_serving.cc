#include "plan/local_serving.h"

#include <algorithm>
#include <cmath>

namespace minke {
namespace {

// Shares of the measured peaks that Minke's kernels reach (docs/plan.md): products of plain numbers
// and of 8-bit integers with many rows, attention, and reading the weights for few rows.
constexpr double plain_share = 0.92, integer_share = 0.5, attention_share = 0.55;
constexpr double reading_share = 0.8;

// One forward pass: `rows` tokens, which see `keys` tokens each.
struct Pass {
  double rows, keys;
  double sequences;     // whose cache is read
  double logits;        // rows whose logits are wanted
  double expanded = 0;  // latents of which MLA makes keys and values; 0: it is absorbed
};

class PassClock {
 public:
  PassClock(const ModelConfig& config, const LocalServingJob& job, const LocalRates& rates,
            const Pass& pass)
      : config_(config), job_(job), rates_(rates), pass_(pass) {}

  PassSeconds seconds(std::span<const StoredWeight> weights) {
    for (const StoredWeight& weight : weights) add(weight);
    const double element = job_.f32 ? 4 : 2;
    for (const LayerShape& layer : shape_of(config_).layers) add_layer(layer, element);
    return seconds_;
  }

 private:
  double plain_rate() const {
    const bool f32 = job_.f32 || rates_.bf16_flops <= 0;
    return f32 ? rates_.f32_flops : rates_.bf16_flops;
  }
  double rate(BlockFormat format) const {
    return is_integer_format(format) && !job_.f32 && rates_.int8_operations > 0
               ? rates_.int8_operations * integer_share
               : plain_rate() * plain_share;
  }

  // Of `touched` of the matrix's packed copies, with so many rows.
  void add_product(const StoredWeight& w, double rows, double touched, BlockFormat format) {
    const double arithmetic = 2 * rows * static_cast<double>(w.size()) / rate(format);
    const double bytes =
        touched * static_cast<double>(packed_bytes(format, job_.f32, w.rows, w.columns));
    const double reading = bytes / (rates_.memory_bytes * reading_share);
    (arithmetic > reading ? seconds_.arithmetic : seconds_.reading) +=
        std::max(arithmetic, reading);
  }

  void add(const StoredWeight& w) {
    if (w.is_vector() || w.kind == ParameterKind::memory) return;
    if (w.kind == ParameterKind::embedding) {  // a look-up, and the head's product
      const bool head = w.name == "lm_head.weight" || config_.tie_word_embeddings;
      return head ? add_product(w, pass_.logits, 1, w.format) : void();
    }
    if (w.is_expert()) {
      const double share = static_cast<double>(config_.num_experts_per_tok) /
                           static_cast<double>(config_.n_routed_experts);
      return add_product(w, pass_.rows * share, 1 - std::pow(1 - share, pass_.rows), w.format);
    }
    if (w.is_key_value() && pass_.expanded > 0) {
      const bool split = !w.name.ends_with(".kv_b_proj.weight");  // made in the compute dtype
      return add_product(w, pass_.expanded, 1, split ? BlockFormat::bf16 : w.format);
    }
    add_product(w, pass_.rows, 1, w.format);
  }

  void add_layer(const LayerShape& layer, double element) {
    const double pair = pass_.expanded > 0 ? layer.pair_flops : layer.absorbed_pair_flops;
    const double cache = pass_.sequences * pass_.keys * element *
                         static_cast<double>(layer.cache_elements) / rates_.memory_bytes;
    seconds_.attention +=
        std::max(pass_.rows * pass_.keys * pair / (plain_rate() * attention_share), cache);
    double elements = 0;  // products' inputs and outputs, written once and read once
    for (const Product& product : layer.products)
      elements += static_cast<double>((product.in + product.out) * product.uses);
    seconds_.rest += pass_.rows * 2 * element * elements / rates_.memory_bytes;
  }

  const ModelConfig& config_;
  const LocalServingJob& job_;
  const LocalRates& rates_;
  Pass pass_;
  PassSeconds seconds_;
};

PassSeconds operator*(const PassSeconds& a, double factor) {
  return {a.arithmetic * factor, a.reading * factor, a.attention * factor, a.rest * factor};
}

}  // namespace

const char* PassSeconds::limit() const {
  const std::pair<double, const char*> parts[] = {
      {arithmetic, "arithmetic"}, {reading, "reading weights"}, {attention, "attention"}};
  return std::max_element(std::begin(parts), std::end(parts))->second;
}

LocalServing local_serving(const ModelConfig& config, std::span<const StoredWeight> weights,
                           const LocalServingJob& job, const LocalRates& rates,
                           const ServingFactors& factors, double price_per_hour) {
  const auto prompt = static_cast<double>(job.prompt), batch = static_cast<double>(job.batch);
  const double rows = std::min<double>(prompt, local_batch_tokens), passes = prompt / rows;
  // Each pass expands all latents up to its own.
  const Pass chunk{rows, (prompt + 1) / 2, 1, 1 / passes, (prompt + rows) / 2};
  const Pass step{batch, static_cast<double>(job.context), batch, batch};
  LocalServing plan;
  plan.prompt = PassClock(config, job, rates, chunk).seconds(weights) * (passes * factors.prompt);
  plan.generation = PassClock(config, job, rates, step).seconds(weights) * factors.generation;
  plan.prompt_tokens = prompt / plan.prompt.total();
  plan.user_speed = 1 / plan.generation.total();
  plan.generation_tokens = batch * plan.user_speed;
  const double million_seconds = price_per_hour / 3600 * 1e6;
  plan.cost_per_million_input = million_seconds / plan.prompt_tokens;
  plan.cost_per_million_output = million_seconds / plan.generation_tokens;
  return plan;
}

}  // namespace minke
