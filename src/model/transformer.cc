#include "model/transformer.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "kernels/loss.h"

namespace minke {

// Everything that forward leaves for backward, for one micro-batch of fixed shape.
struct Transformer::TrainingState {
  TokenRows rows;
  std::vector<Tensor>
      shifted;      // i32 [T] each: the tokens k positions on; 0: inputs, 1: targets, ...
  Tensor embedded;  // f32 [T, hidden]: input of the first block
  Block::Scratch scratch;
  std::vector<Block::Activations> blocks;
  std::vector<MtpModule::Activations> mtp;
  std::vector<MtpModule::Scratch> mtp_scratch;
  LmHead::Scratch head;
  std::vector<Tensor> normed;  // [T, hidden] by depth: input of the head; depth 0 is the main model
  std::vector<Tensor> dnormed;  // [T, hidden] by depth
  std::vector<Tensor> dx;       // f32 [T, hidden] by depth: gradient of that depth's hidden state
  Tensor dembedding;            // f32 [T, hidden]
};

namespace {

LayerBuilder builder_of(const ModelConfig& config, const Weights& weights, Arena& arena,
                        const ModelOptions& options) {
  return {config, weights, arena, options.compute, options.training, options.recompute};
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, const Weights& weights, Arena& arena,
                         const ModelOptions& options)
    : config_(config),
      options_(options),
      embedding_(builder_of(config, weights, arena, options)),
      rotary_(config, arena, options.max_positions),
      norm_(builder_of(config, weights, arena, options), "model.norm.weight"),
      head_(builder_of(config, weights, arena, options)) {
  const LayerBuilder builder = builder_of(config, weights, arena, options);
  const int64_t layers = config.num_hidden_layers;
  for (int64_t i = 0; i < layers; ++i) blocks_.emplace_back(builder, i, rotary_);
  const int64_t wanted = options.training ? config.num_nextn_predict_layers : options.drafts;
  for (int64_t k = 0; k < std::min(wanted, config.num_nextn_predict_layers); ++k)
    mtp_.emplace_back(builder, layers + k, rotary_);
  reset_expert_loads();
  if (!options.training) return;

  const int64_t tokens = options.sequences * options.sequence_length, hidden = config.hidden_size;
  training_ = std::make_unique<TrainingState>();
  TrainingState& state = *training_;
  state.rows.positions = arena.allocate(DType::i32, {tokens});
  for (int64_t s = 0; s < options.sequences; ++s) {
    const int64_t begin = s * options.sequence_length, end = begin + options.sequence_length;
    state.rows.sequences.push_back({begin, end, begin, end});
  }
  for (int64_t k = 0; k <= depth() + 1; ++k)
    state.shifted.push_back(arena.allocate(DType::i32, {tokens}));
  state.embedded = arena.allocate(DType::f32, {tokens, hidden});
  for (const Block& block : blocks_) block.allocate_scratch(state.scratch, arena, tokens);
  for (const MtpModule& module : mtp_)
    module.block().allocate_scratch(state.scratch, arena, tokens);
  for (const Block& block : blocks_)
    state.blocks.push_back(block.allocate_activations(arena, tokens, state.scratch));
  for (const MtpModule& module : mtp_) {
    state.mtp.push_back(module.allocate_activations(arena, tokens, state.scratch));
    state.mtp_scratch.push_back(module.allocate_scratch(arena, tokens));
  }
  state.head = head_.allocate_scratch(arena, tokens);
  for (int64_t k = 0; k <= depth(); ++k) {
    state.normed.push_back(k ? state.mtp[k - 1].normed
                             : arena.allocate(options.compute, {tokens, hidden}));
    state.dnormed.push_back(arena.allocate(options.compute, {tokens, hidden}));
    state.dx.push_back(arena.allocate(DType::f32, {tokens, hidden}));
  }
  if (depth()) state.dembedding = arena.allocate(DType::f32, {tokens, hidden});
}

Transformer::~Transformer() = default;

void Transformer::refresh() {
  for (const Block& block : blocks_) block.refresh();
  for (const MtpModule& module : mtp_) module.refresh();
  head_.refresh();
}

std::vector<const Block*> Transformer::moe_blocks() const {
  std::vector<const Block*> found;
  for (const Block& block : blocks_)
    if (block.moe()) found.push_back(&block);
  for (const MtpModule& module : mtp_)
    if (module.block().moe()) found.push_back(&module.block());
  return found;
}

void Transformer::reset_expert_loads() {
  loads_.clear();
  for (const Block* block : moe_blocks())
    loads_.emplace_back(static_cast<size_t>(block->moe()->experts()), 0);
}

std::vector<Tensor> Transformer::expert_biases() const {
  std::vector<Tensor> biases;
  for (const Block* block : moe_blocks()) biases.push_back(block->moe()->bias());
  return biases;
}

void Transformer::count_loads() {
  size_t layer = 0;
  const auto count = [&](const Block& block, const Block::Activations& saved) {
    if (!block.moe()) return;
    const auto& offsets = saved.moe.route.offsets;
    for (size_t e = 0; e + 1 < offsets.size(); ++e) loads_[layer][e] += offsets[e + 1] - offsets[e];
    ++layer;
  };
  for (size_t i = 0; i < blocks_.size(); ++i) count(blocks_[i], training_->blocks[i]);
  for (size_t k = 0; k < mtp_.size(); ++k) count(mtp_[k].block(), training_->mtp[k].block);
}

void Transformer::load_windows(std::span<const int32_t> windows) {
  require(training_ && static_cast<int64_t>(windows.size()) == options_.sequences * window(),
          "{} token ids where {} windows of {} were expected", windows.size(), options_.sequences,
          window());
  const int64_t length = options_.sequence_length;
  for (int64_t s = 0; s < options_.sequences; ++s)
    for (int64_t i = 0; i < length; ++i) {
      training_->rows.positions.as<int32_t>()[s * length + i] = static_cast<int32_t>(i);
      for (size_t k = 0; k < training_->shifted.size(); ++k)
        training_->shifted[k].as<int32_t>()[s * length + i] = windows[s * window() + i + k];
    }
}

void Transformer::forward() {
  TrainingState& state = *training_;
  embedding_.forward(state.embedded, state.shifted[0]);
  const Tensor* x = &state.embedded;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].forward(*x, state.blocks[i], state.scratch, state.rows);
    x = &state.blocks[i].output;
  }
  norm_.forward(state.normed[0], *x);
}

double Transformer::evaluate(std::span<const int32_t> windows, int64_t count) {
  load_windows(windows);
  const Tensor& targets = training_->shifted[1];
  std::fill(targets.as<int32_t>() + count * options_.sequence_length,
            targets.as<int32_t>() + targets.size(), -1);
  forward();
  return head_.loss(training_->normed[0], training_->shifted[1], training_->head, Tensor(), 0.0f);
}

Transformer::StepLosses Transformer::forward_backward(std::span<const int32_t> windows,
                                                      const StepOptions& step) {
  StepLosses losses;
  load_windows(windows);
  forward();
  losses.main = head_.loss(training_->normed[0], training_->shifted[1], training_->head,
                           training_->dnormed[0], static_cast<float>(step.gradient_scale));
  forward_mtp(step, losses);
  backward(step, losses);
  count_loads();
  return losses;
}

void Transformer::forward_mtp(const StepOptions& step, StepLosses& losses) {
  TrainingState& state = *training_;
  const float scale =
      depth() ? static_cast<float>(step.gradient_scale * step.mtp_lambda / depth()) : 0.0f;
  for (int64_t k = 1; k <= depth(); ++k) {
    MtpModule::Activations& saved = state.mtp[k - 1];
    embedding_.forward(saved.embedding, state.shifted[k]);
    const Tensor& hidden = k == 1 ? state.blocks.back().output : state.mtp[k - 2].block.output;
    mtp_[k - 1].forward(hidden, saved, state.scratch, state.rows);
    losses.mtp.push_back(
        head_.loss(saved.normed, state.shifted[k + 1], state.head, state.dnormed[k], scale));
  }
}

void Transformer::backward(const StepOptions& step, StepLosses& losses) {
  TrainingState& state = *training_;
  const BalanceOptions balance{options_.sequence_length, step.balance_alpha, step.balance_scale};
  for (const Tensor& dx : state.dx) clear(dx);
  for (int64_t k = depth(); k >= 1; --k) {
    const Tensor& hidden = k == 1 ? state.blocks.back().output : state.mtp[k - 2].block.output;
    losses.balance += mtp_[k - 1].backward(
        state.dx[k], state.dnormed[k], state.dx[k - 1], state.dembedding, hidden, state.mtp[k - 1],
        state.mtp_scratch[k - 1], state.scratch, state.rows, balance);
    embedding_.backward(state.dembedding, state.shifted[k]);
  }
  const Tensor& dx = state.dx[0];
  norm_.backward(dx, state.dnormed[0], state.blocks.back().output, true);
  for (size_t i = blocks_.size(); i-- > 0;) {
    const Tensor& x = i ? state.blocks[i - 1].output : state.embedded;
    losses.balance +=
        blocks_[i].backward(dx, x, state.blocks[i], state.scratch, state.rows, balance);
  }
  embedding_.backward(dx, state.shifted[0]);
}

std::vector<KvPages> Transformer::allocate_pages(Arena& arena, int64_t pages) const {
  std::vector<KvPages> pools;
  for (const Block& block : blocks_) pools.push_back(block.allocate_pages(arena, pages));
  return pools;
}

// x f32 [T, hidden] = the tokens' embeddings.
void Transformer::embed(const Tensor& x, std::span<const int32_t> tokens, Arena& arena) const {
  const int64_t mark = arena.mark();
  const Tensor ids = arena.allocate(DType::i32, {x.rows()});
  if (!arena.is_counting()) {
    std::copy(tokens.begin(), tokens.end(), ids.as<int32_t>());
    embedding_.forward(x, ids);
  }
  arena.release(mark);
}

Tensor Transformer::forward_cached(std::span<const int32_t> tokens, const Batch& batch,
                                   std::span<const KvPages> pages, Arena& arena) const {
  const int64_t count = static_cast<int64_t>(tokens.size());
  const Tensor x = arena.allocate(DType::f32, {count, config_.hidden_size});
  embed(x, tokens, arena);
  for (size_t i = 0; i < blocks_.size(); ++i) blocks_[i].forward_cached(x, pages[i], batch, arena);
  return x;
}

Tensor Transformer::forward_draft(std::span<const int32_t> next_tokens, const Tensor& hidden,
                                  const Batch& batch, const KvPages& pages, Arena& arena) const {
  const int64_t count = static_cast<int64_t>(next_tokens.size());
  const Tensor out = arena.allocate(DType::f32, {count, config_.hidden_size});
  const int64_t mark = arena.mark();
  const Tensor embedding = arena.allocate(DType::f32, {count, config_.hidden_size});
  embed(embedding, next_tokens, arena);
  mtp_.at(0).forward_cached(out, hidden, embedding, pages, batch, arena);
  arena.release(mark);
  return out;
}

void Transformer::logits(const Tensor& out, const Tensor& hidden, bool draft, Arena& arena) const {
  const int64_t mark = arena.mark();
  const Tensor normed = arena.allocate(options_.compute, {hidden.rows(), config_.hidden_size});
  if (!arena.is_counting()) {
    if (draft)
      mtp_.at(0).norm(normed, hidden);
    else
      norm_.forward(normed, hidden);
    head_.logits(out, normed);
  }
  arena.release(mark);
}

}  // namespace minke
