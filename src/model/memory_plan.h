#pragma once
// What a model needs in memory before anything is loaded, and what would fit where it is too much.

#include <optional>
#include <string>

#include "config/model_config.h"
#include "model/transformer.h"
#include "quant/formats.h"
#include "tensor/dtype.h"

namespace minke {

constexpr double gibibytes(int64_t bytes) { return static_cast<double>(bytes) / 1073741824.0; }

// What a caller may ask of a loaded model.
struct LoadOptions {
  std::optional<DType> compute;  // nothing: the dtype that suits the files
  int64_t max_tokens = 0;        // of the longest sequence; 0: the model's limit
  int64_t cache_tokens = 0;      // that the pages hold, all sequences together; 0: max_tokens
  int64_t batch_tokens = 256;    // rows of one forward pass at most
  int64_t batch_logits = 256;    // rows of one pass whose logits are wanted, at most
  bool drafts = false;           // keep the first MTP module, if there is one
  bool quiet = false;            // no line about the memory plan
  int64_t memory_bytes = 0;      // that the model may take; 0: what this machine grants
};

// Sizes that follow from the options, and bytes.
struct MemoryPlan {
  int64_t max_tokens = 0, pages = 0, batch_tokens = 0, batch_logits = 0;
  // Whether products read the matrices from the mapped files, which is slower and gives the same
  // bits, instead of from copies packed for the kernels.
  bool map_weights = false;
  int64_t weights = 0;  // packed matrices, norms, rotary tables
  int64_t cache = 0;    // pages of keys and values
  int64_t scratch = 0;  // of the largest forward pass, and its logits

  int64_t total() const { return weights + cache + scratch; }
  int64_t cache_bytes_per_token() const;
};

// How a model of that plan is built.
ModelOptions inference_options(DType compute, const MemoryPlan& plan, const LoadOptions& options);

// The allocations of a LoadedModel on a counting arena, with packed or mapped weights; no weight is
// read. A usage Error if the
// model does not handle so many tokens; `name` says in errors which model is meant. A missing
// tensor is an Error.
MemoryPlan plan_memory(const ModelConfig& config, const WeightSource& source, DType compute,
                       const LoadOptions& options, const std::string& name,
                       bool map_weights = false);

// The plan for so many bytes: with packed weights; where those do not fit, with mapped ones; where
// neither fits, the first.
MemoryPlan plan_within(const ModelConfig& config, const WeightSource& source, DType compute,
                       const LoadOptions& options, const std::string& name, int64_t bytes);

// The most tokens of one sequence, a multiple of a page's, that so many bytes hold beside packed or
// else mapped weights; 0 if none do.
int64_t largest_context(const ModelConfig& config, const WeightSource& source, DType compute,
                        const LoadOptions& options, int64_t bytes);

// A type of `minke quantize` that fits in so many bytes, and what it then needs.
struct FittingType {
  QuantizationType type;
  int64_t bytes;
};
// The one with the most bits that needs less than the weights as they are; nothing if none fits.
std::optional<FittingType> fitting_quantization(const ModelConfig& config,
                                                const WeightSource& source, DType compute,
                                                const LoadOptions& options, int64_t bytes);

// "a context of 4096 tokens fits", "after minke quantize --type q4_k_m it needs 9.1 GiB", or both;
// or that nothing does.
std::string what_would_fit(const ModelConfig& config, const WeightSource& source, DType compute,
                           const LoadOptions& options, int64_t bytes);

}  // namespace minke
