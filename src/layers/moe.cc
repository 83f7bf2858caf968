#include "layers/moe.h"

#include "base/profile.h"
#include "base/read_ahead.h"
#include "base/threads.h"
#include "kernels/elementwise.h"
#include "kernels/profile.h"

namespace minke {

GateOptions gate_options(const ModelConfig& config) {
  const bool grouped = config.topk_method != TopkMethod::greedy;
  const bool v3 = config.topk_method == TopkMethod::noaux_tc;
  GateOptions options;
  options.top_k = config.num_experts_per_tok;
  options.n_group = grouped ? config.n_group : 1;
  options.topk_group = grouped ? config.topk_group : 1;
  options.sigmoid = config.scoring_func == ScoringFunc::sigmoid;
  options.group_by_top2 = v3;
  options.normalize = config.norm_topk_prob && config.num_experts_per_tok > 1;
  // V2's own code scales only what it does not normalise.
  options.scaling =
      v3 || !options.normalize ? static_cast<float>(config.routed_scaling_factor) : 1.0f;
  return options;
}

namespace {

// All experts of a layer are stored alike, so their matrices have the same parts.
void add_parts(std::vector<std::vector<PackedMatrix>>& parts, const Linear& expert) {
  parts.resize(expert.forward.size());
  for (size_t i = 0; i < parts.size(); ++i) parts[i].push_back(expert.forward[i]);
}

// All experts have adapters of the same matrices.
void join_adapters(std::vector<Adapter>& all, const Linear& expert) {
  if (all.empty()) return void(all = expert.adapters);
  for (size_t i = 0; i < all.size(); ++i) all[i].join(expert.adapters[i]);
}

// y's rows of each expert = x's rows of it times its matrix.
void experts_forward(const Tensor& y, const IndexedRows& x,
                     const std::vector<std::vector<PackedMatrix>>& parts,
                     std::span<const int64_t> offsets) {
  int64_t column = 0;
  for (const std::vector<PackedMatrix>& experts : parts) {
    const int64_t end = column + experts[0].rows;
    matmul_grouped(y.slice_last(column, end), x, experts, offsets);
    column = end;
  }
}

// Asks for the mapped matrices of all experts that have rows at once, before the threads that need
// them wait for one page after another.
void read_experts_ahead(const std::vector<std::vector<PackedMatrix>>& parts,
                        std::span<const int64_t> offsets) {
  for (const std::vector<PackedMatrix>& experts : parts)
    for (size_t e = 0; e < experts.size(); ++e) {
      const StoredMatrix& m = experts[e].mapped;
      if (offsets[e] != offsets[e + 1]) read_ahead(m.data, m.rows * m.row_bytes());
    }
}

// What the experts' matrices, or their adapters, learn of their rows.
void experts_gradient(std::span<const Tensor> gradients, std::span<const Adapter> adapters,
                      const IndexedRows& dy, const IndexedRows& x,
                      std::span<const int64_t> offsets) {
  if (gradients[0]) matmul_weight_gradient_grouped(gradients, dy, x, offsets, true);
  adapters_backward(adapters, dy, x, offsets);
}

}  // namespace

Moe::Moe(const LayerBuilder& builder, const std::string& prefix)
    : compute_(builder.compute),
      recompute_(builder.recompute),
      hidden_(builder.config.hidden_size),
      width_(builder.config.moe_intermediate_size),
      experts_(builder.config.n_routed_experts),
      options_(gate_options(builder.config)),
      gate_(builder, {prefix + "gate.weight"}, DType::f32),
      has_shared_(builder.config.n_shared_experts > 0) {
  const std::string bias = prefix + "gate.e_score_correction_bias";
  if (builder.weights.contains(bias)) bias_ = builder.weights.weight(bias);
  if (has_shared_) shared_ = Ffn(builder, prefix + "shared_experts.");
  for (int64_t e = 0; e < experts_; ++e) {
    const std::string expert = prefix + "experts." + std::to_string(e) + ".";
    gate_up_.emplace_back(builder, std::initializer_list<std::string>{expert + "gate_proj.weight",
                                                                      expert + "up_proj.weight"});
    down_.emplace_back(builder, std::initializer_list<std::string>{expert + "down_proj.weight"});
    add_parts(gate_up_forward_, gate_up_[e]);
    add_parts(down_forward_, down_[e]);
    gate_up_backward_.push_back(gate_up_[e].backward);
    gate_up_gradients_.push_back(gate_up_[e].gradient);
    down_backward_.push_back(down_[e].backward);
    down_gradients_.push_back(down_[e].gradient);
    join_adapters(gate_up_adapters_, gate_up_[e]);
    join_adapters(down_adapters_, down_[e]);
  }
}

Moe::Activations Moe::allocate_recomputed(Arena& arena, int64_t tokens) const {
  const int64_t rows = tokens * options_.top_k;
  Activations common;
  common.h = arena.allocate(compute_, {rows, width_});
  if (has_shared_) common.shared.h = arena.allocate(compute_, {tokens, shared_.width()});
  return common;
}

Moe::Activations Moe::allocate_activations(Arena& arena, int64_t tokens) const {
  const int64_t rows = tokens * options_.top_k;
  Activations saved;
  saved.scores = arena.allocate(DType::f32, {tokens, experts_});
  saved.indices = arena.allocate(DType::i32, {tokens, options_.top_k});
  saved.weights = arena.allocate(DType::f32, {tokens, options_.top_k});
  saved.route = allocate_route(arena, tokens, options_.top_k, experts_);
  saved.gate_up = arena.allocate(compute_, {rows, 2 * width_});
  if (has_shared_) saved.shared = shared_.allocate_activations(arena, tokens);
  if (!recompute_) saved.h = arena.allocate(compute_, {rows, width_});
  return saved;
}

Moe::Scratch Moe::allocate_forward_scratch(Arena& arena, int64_t tokens) const {
  Scratch scratch;
  scratch.logits = arena.allocate(DType::f32, {tokens, experts_});
  return scratch;
}

Moe::Scratch Moe::allocate_scratch(Arena& arena, int64_t tokens) const {
  const int64_t rows = tokens * options_.top_k;
  Scratch scratch = allocate_forward_scratch(arena, tokens);
  scratch.normed_f32 = arena.allocate(DType::f32, {tokens, hidden_});
  scratch.dh = arena.allocate(compute_, {rows, width_});
  scratch.dgate_up = arena.allocate(compute_, {rows, 2 * width_});
  scratch.dweight_of_row = arena.allocate(DType::f32, {rows});
  scratch.dweights = arena.allocate(DType::f32, {tokens, options_.top_k});
  scratch.dscores = arena.allocate(DType::f32, {tokens, experts_});
  scratch.dlogits = arena.allocate(DType::f32, {tokens, experts_});
  if (has_shared_) scratch.shared = shared_.allocate_scratch(arena, tokens);
  return scratch;
}

void Moe::refresh() const {
  gate_.refresh();
  if (has_shared_) shared_.refresh();
  parallel_for(experts_, [&](int64_t expert) {
    gate_up_[expert].refresh();
    down_[expert].refresh();
  });
}

void Moe::forward(const Tensor& y, const Tensor& normed, Activations& saved,
                  const Scratch& scratch) const {
  const ProfilePart part("experts");
  linear_forward(scratch.logits, normed, gate_);
  gate_forward(saved.scores, saved.indices, saved.weights, scratch.logits, bias_, options_);
  route_tokens(saved.route, saved.indices, saved.weights);
  // Where all is in memory, asking would cost more than a tenth of a token's time.
  if (gate_up_forward_[0][0].is_mapped() && has_read_from_disk()) {
    read_experts_ahead(gate_up_forward_, saved.route.offsets);
    read_experts_ahead(down_forward_, saved.route.offsets);
  }
  const auto& [token_of_row, weight_of_row, row_of_slot, offsets] = saved.route;
  const IndexedRows x(normed, token_of_row);
  if (gate_up_forward_.size() == 1) {
    matmul_swiglu(saved.gate_up, saved.h, x, gate_up_forward_[0], offsets, weight_of_row);
  } else {
    experts_forward(saved.gate_up, x, gate_up_forward_, offsets);
    silu_mul_forward(saved.h, saved.gate_up, weight_of_row);
  }
  matmul_scatter(y, token_of_row, saved.h, down_forward_[0], offsets);
  if (has_shared_) shared_.forward(y, normed, saved.shared);
}

double Moe::backward(const Tensor& dnormed, const Tensor& dy, const Tensor& normed,
                     const Activations& saved, const Scratch& scratch,
                     std::span<const int64_t> bounds, double balance_alpha,
                     double gradient_scale) const {
  const ProfilePart part("experts");
  const auto& [token_of_row, weight_of_row, row_of_slot, offsets] = saved.route;
  if (recompute_) silu_mul_forward(saved.h, saved.gate_up, weight_of_row);
  // y's rows += h·W_downᵀ; h = w·silu(gate)⊙up; [gate; up] = x·W_guᵀ; x = rows of normed.
  const IndexedRows dout(dy, token_of_row), x(normed, token_of_row);
  const auto product_scope = [&](const Tensor& of_rows) {
    return ProfileScope("input gradient", limit_of(of_rows.dtype),
                        product_work(of_rows.rows(), of_rows.columns(), hidden_));
  };
  experts_gradient(down_gradients_, down_adapters_, dout, saved.h, offsets);
  {
    const ProfileScope scope = product_scope(scratch.dh);
    matmul_grouped(scratch.dh, dout, down_backward_, offsets);
  }
  silu_mul_backward(scratch.dgate_up, scratch.dh, saved.gate_up, weight_of_row,
                    scratch.dweight_of_row);
  slots_from_rows(scratch.dweights, scratch.dweight_of_row, saved.route);
  experts_gradient(gate_up_gradients_, gate_up_adapters_, scratch.dgate_up, x, offsets);
  clear(dnormed);
  {
    const ProfileScope scope = product_scope(scratch.dgate_up);
    matmul_scatter(dnormed, token_of_row, scratch.dgate_up, gate_up_backward_, offsets);
  }

  // The gate sees the experts' weights and the balance loss.
  const double loss = balance_alpha > 0 ? balance_loss(scratch.dscores, saved.scores, saved.indices,
                                                       bounds, balance_alpha, gradient_scale)
                                        : 0.0;
  gate_backward(scratch.dlogits, scratch.dweights, balance_alpha > 0 ? scratch.dscores : Tensor(),
                saved.scores, saved.indices, options_);
  convert(scratch.normed_f32, normed);
  linear_backward(dnormed, scratch.dlogits, scratch.normed_f32, gate_, true);
  if (has_shared_) shared_.backward(dnormed, dy, normed, saved.shared, scratch.shared, true);
  return loss;
}

}  // namespace minke
