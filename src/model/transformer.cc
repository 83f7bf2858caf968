#include "model/transformer.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "kernels/loss.h"

namespace minke {

// Everything that forward leaves for backward, for one micro-batch of T rows. It is the arena's
// last part, and laid out anew when T changes.
struct Transformer::TrainingState {
  int64_t begin = 0, end = 0;  // where it lies in the arena
  TokenRows rows;
  // i32 [T] each: the tokens k positions on; 0: inputs, 1: targets, ...
  std::vector<Tensor> shifted;
  std::vector<std::vector<float>> weights;  // [T] by depth: of the targets shifted[depth + 1]
  Tensor ngrams;                            // of NgramEmbedding, if there is one
  Tensor embedded;                          // f32 [T, hidden]: input of the first block
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
  return {config,
          weights,
          arena,
          options.compute,
          options.training,
          options.recompute,
          options.map_weights,
          options.adapters};
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, const Weights& weights, Arena& arena,
                         const ModelOptions& options)
    : config_(config),
      options_(options),
      arena_(arena),
      embedding_(builder_of(config, weights, arena, options)),
      rotary_(config, arena, options.max_positions),
      norm_(builder_of(config, weights, arena, options), "model.norm.weight"),
      head_(builder_of(config, weights, arena, options)) {
  const LayerBuilder builder = builder_of(config, weights, arena, options);
  if (config.ngram_vocab_size > 0) ngrams_.emplace(builder);
  const int64_t layers = config.num_hidden_layers;
  for (int64_t i = 0; i < layers; ++i) blocks_.emplace_back(builder, i, rotary_);
  const int64_t wanted = options.training ? config.num_nextn_predict_layers : options.drafts;
  for (int64_t k = 0; k < std::min(wanted, config.num_nextn_predict_layers); ++k)
    mtp_.emplace_back(builder, layers + k, rotary_);
  reset_expert_loads();
  if (!options.training) return;
  training_ = std::make_unique<TrainingState>();
  training_->begin = training_->end = arena.used();
  allocate_training(options.tokens);
}

void Transformer::allocate_training(int64_t tokens) {
  require(arena_.used() == training_->end, "the arena has more behind the model's activations");
  arena_.release(training_->begin);
  *training_ = {};
  TrainingState& state = *training_;
  state.begin = arena_.used();
  const int64_t hidden = config_.hidden_size;
  state.rows.positions = arena_.allocate(DType::i32, {tokens});
  for (int64_t k = 0; k <= depth() + 1; ++k)
    state.shifted.push_back(arena_.allocate(DType::i32, {tokens}));
  state.weights.resize(static_cast<size_t>(depth() + 1));
  if (ngrams_) state.ngrams = ngrams_->allocate_rows(arena_, tokens);
  state.embedded = arena_.allocate(DType::f32, {tokens, hidden});
  for (const Block& block : blocks_) block.allocate_scratch(state.scratch, arena_, tokens);
  for (const MtpModule& module : mtp_)
    module.block().allocate_scratch(state.scratch, arena_, tokens);
  for (const Block& block : blocks_)
    state.blocks.push_back(block.allocate_activations(arena_, tokens, state.scratch));
  for (const MtpModule& module : mtp_) {
    state.mtp.push_back(module.allocate_activations(arena_, tokens, state.scratch));
    state.mtp_scratch.push_back(module.allocate_scratch(arena_, tokens));
  }
  state.head = head_.allocate_scratch(arena_, tokens);
  for (int64_t k = 0; k <= depth(); ++k) {
    state.normed.push_back(k ? state.mtp[k - 1].normed
                             : arena_.allocate(options_.compute, {tokens, hidden}));
    state.dnormed.push_back(arena_.allocate(options_.compute, {tokens, hidden}));
    state.dx.push_back(arena_.allocate(DType::f32, {tokens, hidden}));
  }
  if (depth()) state.dembedding = arena_.allocate(DType::f32, {tokens, hidden});
  state.end = arena_.used();
}

Transformer::~Transformer() = default;

void Transformer::refresh(const std::function<void(double)>& progress) {
  const double layers = static_cast<double>(blocks_.size() + mtp_.size() + 1);
  double done = 0;
  const auto refresh = [&](const auto& layer) {
    layer.refresh();
    if (progress) progress(++done / layers);
  };
  for (const Block& block : blocks_) refresh(block);
  for (const MtpModule& module : mtp_) refresh(module);
  refresh(head_);
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

void Transformer::count_loads(size_t mtp_modules) {
  size_t layer = 0;
  const auto count = [&](const Block& block, const Block::Activations& saved) {
    if (!block.moe()) return;
    const auto& offsets = saved.moe.route.offsets;
    for (size_t e = 0; e + 1 < offsets.size(); ++e) loads_[layer][e] += offsets[e + 1] - offsets[e];
    ++layer;
  };
  for (size_t i = 0; i < blocks_.size(); ++i) count(blocks_[i], training_->blocks[i]);
  for (size_t k = 0; k < mtp_modules; ++k) count(mtp_[k].block(), training_->mtp[k].block);
}

TrainingBatch window_batch(std::span<const int32_t> windows, int64_t window, int64_t rows) {
  TrainingBatch batch;
  for (size_t begin = 0; begin < windows.size(); begin += static_cast<size_t>(window))
    batch.push_back({rows, windows.subspan(begin, static_cast<size_t>(window))});
  return batch;
}

int64_t batch_rows(const TrainingBatch& batch) {
  int64_t rows = 0;
  for (const TrainingSegment& segment : batch) rows += segment.rows;
  return rows;
}

void Transformer::load_batch(const TrainingBatch& batch) {
  const int64_t rows = batch_rows(batch);
  require(training_ && rows > 0 && rows <= options_.tokens,
          "a micro-batch of {} rows, the model was built for 1 to {}", rows, options_.tokens);
  if (training_->rows.positions.rows() != rows) allocate_training(rows);
  training_->rows.sequences.clear();
  training_->rows.bounds = {0};
  for (auto& weights : training_->weights) weights.assign(static_cast<size_t>(rows), 0.0f);
  for (const TrainingSegment& segment : batch) {
    const int64_t begin = training_->rows.bounds.back(), end = begin + segment.rows;
    load_segment(segment, begin);
    training_->rows.sequences.push_back({begin, end, begin, end});
    training_->rows.bounds.push_back(end);
  }
  if (ngrams_) ngrams_->find_rows(training_->ngrams, training_->shifted[0], training_->rows);
}

// Where a segment ends before MTP's targets do, those have weight 0.
void Transformer::load_segment(const TrainingSegment& segment, int64_t first_row) {
  const int64_t tokens = static_cast<int64_t>(segment.tokens.size());
  const int64_t weights = static_cast<int64_t>(segment.weights.size());
  require(segment.rows > 0 && segment.rows < tokens && (weights == 0 || weights == segment.rows),
          "a segment of {} rows has {} tokens and {} weights", segment.rows, tokens, weights);
  require(segment.rows <= options_.max_positions, "a segment of {} rows, there are {} positions",
          segment.rows, options_.max_positions);
  for (int64_t i = 0; i < segment.rows; ++i) {
    const int64_t row = first_row + i;
    training_->rows.positions.as<int32_t>()[row] = static_cast<int32_t>(i);
    for (size_t k = 0; k < training_->shifted.size(); ++k) {
      const int64_t at = i + static_cast<int64_t>(k);
      const int32_t token = at < tokens ? segment.tokens[at] : 0;
      if (token < 0 || token >= config_.vocab_size)
        fail("token id {} at position {} is outside of the vocabulary of {}", token, at,
             config_.vocab_size);
      training_->shifted[k].as<int32_t>()[row] = token;
      if (k == 0 || at >= tokens || (weights && at > weights)) continue;
      training_->weights[k - 1][row] = weights ? segment.weights[at - 1] : 1.0f;
    }
  }
}

void Transformer::forward() {
  TrainingState& state = *training_;
  embedding_.forward(state.embedded, state.shifted[0]);
  if (ngrams_) ngrams_->forward(state.embedded, state.ngrams);
  const Tensor* x = &state.embedded;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].forward(*x, state.blocks[i], state.scratch, state.rows);
    x = &state.blocks[i].output;
  }
  norm_.forward(state.normed[0], *x);
}

// The objective's sum over the targets of a depth; 0 is the main model.
double Transformer::head_loss(int64_t depth, const Tensor& dnormed, Objective& objective) {
  return head_.loss(training_->normed[depth], training_->shifted[depth + 1],
                    training_->weights[depth], training_->head, dnormed, objective);
}

double Transformer::evaluate(const TrainingBatch& batch, Objective& objective) {
  load_batch(batch);
  forward();
  return head_loss(0, Tensor(), objective);
}

Transformer::StepLosses Transformer::forward_backward(const TrainingBatch& batch,
                                                      Objective& objective,
                                                      const StepOptions& step) {
  StepLosses losses;
  load_batch(batch);
  forward();
  losses.main = head_loss(0, training_->dnormed[0], objective);
  if (step.mtp_lambda != 0) forward_mtp(step, losses);
  backward(step, losses);
  count_loads(losses.mtp.size());
  return losses;
}

void Transformer::forward_mtp(const StepOptions& step, StepLosses& losses) {
  TrainingState& state = *training_;
  CrossEntropy objective(depth() ? step.gradient_scale * step.mtp_lambda / depth() : 0.0);
  for (int64_t k = 1; k <= depth(); ++k) {
    MtpModule::Activations& saved = state.mtp[k - 1];
    embedding_.forward(saved.embedding, state.shifted[k]);
    const Tensor& hidden = k == 1 ? state.blocks.back().output : state.mtp[k - 2].block.output;
    mtp_[k - 1].forward(hidden, saved, state.scratch, state.rows);
    losses.mtp.push_back(head_loss(k, state.dnormed[k], objective));
  }
}

void Transformer::backward(const StepOptions& step, StepLosses& losses) {
  TrainingState& state = *training_;
  const BalanceOptions balance{state.rows.bounds, step.balance_alpha, step.balance_scale};
  const int64_t modules = static_cast<int64_t>(losses.mtp.size());
  for (int64_t k = 0; k <= modules; ++k) clear(state.dx[k]);
  for (int64_t k = modules; k >= 1; --k) {
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
  if (ngrams_) ngrams_->backward(dx, state.ngrams);
}

std::vector<KvPages> Transformer::allocate_pages(Arena& arena, int64_t pages) const {
  std::vector<KvPages> pools;
  for (const Block& block : blocks_) pools.push_back(block.allocate_pages(arena, pages));
  if (ngrams_) pools.push_back(ngrams_->allocate_pages(arena, pages));
  return pools;
}

void Transformer::embed(const Tensor& x, std::span<const int32_t> tokens, const KvPages* pages,
                        const Batch& batch, Arena& arena) const {
  const int64_t mark = arena.mark();
  const Tensor ids = arena.allocate(DType::i32, {x.rows(), 1});
  if (!arena.is_counting()) {
    std::copy(tokens.begin(), tokens.end(), ids.as<int32_t>());
    embedding_.forward(x, ids);
  }
  if (ngrams_ && pages) ngrams_->forward_cached(x, ids, *pages, batch, arena);
  arena.release(mark);
}

Tensor Transformer::forward_cached(std::span<const int32_t> tokens, const Batch& batch,
                                   std::span<const KvPages> pages, Arena& arena) const {
  const int64_t count = static_cast<int64_t>(tokens.size());
  const Tensor x = arena.allocate(DType::f32, {count, config_.hidden_size});
  embed(x, tokens, ngrams_ ? &pages[blocks_.size()] : nullptr, batch, arena);
  for (size_t i = 0; i < blocks_.size(); ++i) blocks_[i].forward_cached(x, pages[i], batch, arena);
  return x;
}

Tensor Transformer::forward_draft(std::span<const int32_t> next_tokens, const Tensor& hidden,
                                  const Batch& batch, const KvPages& pages, Arena& arena) const {
  const int64_t count = static_cast<int64_t>(next_tokens.size());
  const Tensor out = arena.allocate(DType::f32, {count, config_.hidden_size});
  const int64_t mark = arena.mark();
  const Tensor embedding = arena.allocate(DType::f32, {count, config_.hidden_size});
  embed(embedding, next_tokens, nullptr, batch, arena);
  mtp_.at(0).forward_cached(out, hidden, embedding, pages, batch, arena);
  arena.release(mark);
  return out;
}

void Transformer::add_normed(std::span<double> sum, const Tensor& hidden, Arena& arena) const {
  const int64_t mark = arena.mark();
  const Tensor normed = arena.allocate(DType::f32, {1, config_.hidden_size});
  for (int64_t row = 0; row < hidden.rows(); ++row) {
    norm_.forward(normed, hidden.slice_rows(row, row + 1));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += normed.as<float>()[i];
  }
  arena.release(mark);
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
