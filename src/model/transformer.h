#pragma once
// model/: a model is its parameter list and a composition of layers; loading, saving and scoring
// it. May include layers/, quant/, text/, io/, kernels/, tensor/, config/ and base/.

#include <memory>
#include <span>
#include <vector>

#include "layers/embedding.h"
#include "layers/lm_head.h"
#include "layers/mtp.h"

namespace minke {

struct ModelOptions {
  DType compute = DType::bf16;
  bool training = false;
  bool recompute = false;
  int64_t sequences = 1;        // of one micro-batch; training only
  int64_t sequence_length = 1;  // training only
  int64_t max_positions = 1;    // rotary table
  bool drafts = false;          // inference: with the first MTP module, if there is one
};

// A model of any family in ModelType. Owns its layers; weights, activations and packed matrices lie
// in the arena that it was built on. Built on a counting arena it is the memory plan. Not
// thread-safe; parallel inside.
class Transformer {
 public:
  // What a training step asks for. The gradient of
  //   gradient_scale·(Σ main losses + λ/D·Σ MTP losses) + balance_scale·(balance losses)
  // is added to the weights' gradients.
  struct StepOptions {
    double gradient_scale = 1.0;  // 1 / tokens of the whole batch
    double mtp_lambda = 0.0;
    double balance_alpha = 0.0;
    double balance_scale = 1.0;  // share of the batch's sequences that this micro-batch is
  };
  struct StepLosses {
    double main = 0;          // Σ over tokens
    std::vector<double> mtp;  // by depth, Σ over tokens
    double balance = 0;       // Σ over MoE layers, of the mean sequence
  };

  Transformer(const ModelConfig& config, const Weights& weights, Arena& arena,
              const ModelOptions& options);
  ~Transformer();

  // Packs the weights anew; after loading and after each optimiser step.
  void refresh();

  // Tokens of one window: sequence_length inputs and the targets that follow.
  int64_t window() const { return options_.sequence_length + 1 + depth(); }
  int64_t depth() const { return static_cast<int64_t>(mtp_.size()); }

  // windows: [sequences, window()] token ids.
  StepLosses forward_backward(std::span<const int32_t> windows, const StepOptions& step);
  // The main loss alone, Σ over the tokens of the first `count` windows.
  double evaluate(std::span<const int32_t> windows, int64_t count);

  // Tokens that each expert of each MoE layer (MTP modules' after the main model's) got in
  // forward_backward() since the last reset; [layers, E].
  std::vector<std::vector<int64_t>>& expert_loads() { return loads_; }
  void reset_expert_loads();
  // The balancing bias of each of those layers, f32 [E]; empty tensors for gates without one.
  std::vector<Tensor> expert_biases() const;

  // Inference: the pools of all layers, of so many pages.
  std::vector<KvPages> allocate_pages(Arena& arena, int64_t pages) const;
  // Runs a batch and returns what the last block gives, f32 [T, hidden], in the arena, which the
  // caller releases. A counting arena only counts. Errors: a token id outside the vocabulary.
  Tensor forward_cached(std::span<const int32_t> tokens, const Batch& batch,
                        std::span<const KvPages> pages, Arena& arena) const;
  // The same by the first MTP module: from each row's hidden state f32 [T, hidden] (of
  // forward_cached(), or of this) and the token after the row's. pages: the module's.
  Tensor forward_draft(std::span<const int32_t> next_tokens, const Tensor& hidden,
                       const Batch& batch, const KvPages& pages, Arena& arena) const;
  bool has_drafts() const { return !training_ && !mtp_.empty(); }
  KvPages allocate_draft_pages(Arena& arena, int64_t pages) const {
    return mtp_.at(0).allocate_pages(arena, pages);
  }
  // logits f32 [rows, vocab] of rows of forward_cached(), or of forward_draft().
  void logits(const Tensor& out, const Tensor& hidden, bool draft, Arena& arena) const;

  const ModelConfig& config() const { return config_; }

 private:
  struct TrainingState;

  void embed(const Tensor& x, std::span<const int32_t> tokens, Arena& arena) const;
  void load_windows(std::span<const int32_t> windows);
  void forward();
  void forward_mtp(const StepOptions& step, StepLosses& losses);
  void backward(const StepOptions& step, StepLosses& losses);
  void count_loads();
  std::vector<const Block*> moe_blocks() const;

  ModelConfig config_;
  ModelOptions options_;
  Embedding embedding_;
  RotaryTable rotary_;
  std::vector<Block> blocks_;
  RmsNorm norm_;
  LmHead head_;
  std::vector<MtpModule> mtp_;
  std::vector<std::vector<int64_t>> loads_;
  std::unique_ptr<TrainingState> training_;
};

}  // namespace minke
