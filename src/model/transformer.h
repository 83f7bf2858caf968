#pragma once
// model/: a model is its parameter list and a composition of layers; loading, saving and scoring
// it. May include layers/, quant/, text/, io/, kernels/, tensor/, config/ and base/.

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "layers/embedding.h"
#include "layers/lm_head.h"
#include "layers/mtp.h"
#include "layers/ngram_embedding.h"

namespace minke {

struct ModelOptions {
  DType compute = DType::bf16;
  bool training = false;
  bool recompute = false;
  int64_t tokens = 1;                  // rows of the largest micro-batch; training only
  int64_t max_positions = 1;           // rotary table
  bool drafts = false;                 // inference: with the first MTP module, if there is one
  bool map_weights = false;            // inference: see LayerBuilder
  const Adapters* adapters = nullptr;  // training: what learns instead of the weights
};

// Consecutive tokens of one document, which see each other and nothing else; their positions begin
// at 0. Views; the caller owns what they point to.
struct TrainingSegment {
  int64_t rows = 0;                  // inputs tokens[0 .. rows - 1]
  std::span<const int32_t> tokens;   // [rows + 1] or more: the targets follow the inputs, and MTP's
                                     // targets those
  std::span<const float> weights{};  // [rows] of the targets tokens[1 .. rows]; empty: all 1
};
// The segments of a micro-batch; their rows follow one another.
using TrainingBatch = std::vector<TrainingSegment>;

// Windows of equal length, [count, window] token ids with `rows` inputs each.
TrainingBatch window_batch(std::span<const int32_t> windows, int64_t window, int64_t rows);
int64_t batch_rows(const TrainingBatch& batch);

// A model of any family in ModelType. Owns its layers; weights, activations and packed matrices lie
// in the arena that it was built on. Built on a counting arena it is the memory plan. Not
// thread-safe; parallel inside.
class Transformer {
 public:
  // What a training step asks for beside its objective. The gradient of
  //   objective + gradient_scale·λ/D·Σ MTP losses + balance_scale·(balance losses)
  // is added to the weights' gradients. MTP's losses are cross-entropies with the targets' weights.
  struct StepOptions {
    double gradient_scale = 1.0;  // 1 / tokens of the whole batch
    double mtp_lambda = 0.0;      // 0: the MTP modules are left alone
    double balance_alpha = 0.0;
    double balance_scale = 1.0;  // share of the batch's segments that this micro-batch is
  };
  struct StepLosses {
    double main = 0;          // Σ of the objective's losses
    std::vector<double> mtp;  // by depth, Σ over tokens; empty with λ = 0
    double balance = 0;       // Σ over MoE layers, of the mean sequence
  };

  Transformer(const ModelConfig& config, const Weights& weights, Arena& arena,
              const ModelOptions& options);
  ~Transformer();

  // Packs the weights anew; after loading and after each optimiser step. progress is called with
  // the share of the layers that is done, 1 at the end.
  void refresh(const std::function<void(double)>& progress = {});

  int64_t depth() const { return static_cast<int64_t>(mtp_.size()); }

  // One micro-batch of at most options.tokens rows. A row's values have the same bits whatever else
  // the batch holds. Errors: a token id outside the vocabulary, a segment longer than the
  // positions.
  StepLosses forward_backward(const TrainingBatch& batch, Objective& objective,
                              const StepOptions& step);
  // The objective's sum alone, without gradients.
  double evaluate(const TrainingBatch& batch, Objective& objective);

  // Tokens that each expert of each MoE layer (MTP modules' after the main model's) got in
  // forward_backward() since the last reset; [layers, E].
  std::vector<std::vector<int64_t>>& expert_loads() { return loads_; }
  void reset_expert_loads();
  // The balancing bias of each of those layers, f32 [E]; empty tensors for gates without one.
  std::vector<Tensor> expert_biases() const;

  // Inference: the pools of all layers, of so many pages; n-grams' ids come last.
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
  // sum [hidden] += the rows of forward_cached()'s hidden states after the last norm, one after the
  // other.
  void add_normed(std::span<double> sum, const Tensor& hidden, Arena& arena) const;
  // logits f32 [rows, vocab] of rows of forward_cached(), or of forward_draft().
  void logits(const Tensor& out, const Tensor& hidden, bool draft, Arena& arena) const;

  const ModelConfig& config() const { return config_; }

 private:
  struct TrainingState;

  // x f32 [T, hidden] = the tokens' embeddings; with `pages` their n-grams' too.
  void embed(const Tensor& x, std::span<const int32_t> tokens, const KvPages* pages,
             const Batch& batch, Arena& arena) const;
  void allocate_training(int64_t tokens);
  void load_batch(const TrainingBatch& batch);
  void load_segment(const TrainingSegment& segment, int64_t first_row);
  void forward();
  double head_loss(int64_t depth, const Tensor& dnormed, Objective& objective);
  void forward_mtp(const StepOptions& step, StepLosses& losses);
  void backward(const StepOptions& step, StepLosses& losses);
  void count_loads(size_t mtp_modules);
  std::vector<const Block*> moe_blocks() const;

  ModelConfig config_;
  ModelOptions options_;
  Arena& arena_;
  Embedding embedding_;
  std::optional<NgramEmbedding> ngrams_;
  RotaryTable rotary_;
  std::vector<Block> blocks_;
  RmsNorm norm_;
  LmHead head_;
  std::vector<MtpModule> mtp_;
  std::vector<std::vector<int64_t>> loads_;
  std::unique_ptr<TrainingState> training_;
};

}  // namespace minke
