#pragma once
// LoRA (Hu et al. 2021, 2106.09685): a matrix W [out, in] that stays as it is, and what is learned
// beside it, W' = W + s·B·A with A [r, in], B [out, r], s = alpha / r. The forward pass multiplies
// by W', merged in f32, so that a model with adapters computes what the merged model computes. The
// gradients need no dW:
//   dB = s·dyᵀ·(x·Aᵀ), dA = s·(dy·B)ᵀ·x.

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/lora_config.h"
#include "kernels/matmul.h"
#include "layers/weights.h"

namespace minke {

// What backward needs of the adapter of a matrix, or of those of the same matrix of every expert.
// Copyable view.
struct Adapter {
  int64_t begin = 0, end = 0;      // the matrix's columns in the output of the joined ones
  std::vector<PackedMatrix> down;  // s·A [r, in]: for s·x·Aᵀ
  std::vector<PackedMatrix> up;    // s·Bᵀ [r, out]: for s·dy·B
  std::vector<Tensor> a_gradients, b_gradients;  // f32
  Tensor hidden;                                 // [rows, r]: scratch that all adapters share

  // Appends another expert's adapter of the same matrix.
  void join(const Adapter& other);
};

// The gradients grow by those of a layer's rows; expert g has rows [offsets[g], offsets[g + 1]). dy
// [T, out of the joined matrices] and x [T, in] have the dtype of the products.
void adapters_backward(std::span<const Adapter> adapters, const IndexedRows& dy,
                       const IndexedRows& x, std::span<const int64_t> offsets);

// All adapters of a model: A and B with their gradients, and their packed copies. The arena owns
// the memory. Not thread-safe; parallel inside.
class Adapters {
 public:
  // tokens: rows of the largest micro-batch. compute: the dtype of the backward products.
  Adapters(const ModelConfig& model, const LoraConfig& config, DType compute, int64_t tokens,
           Arena& arena);

  const LoraConfig& config() const { return config_; }
  const std::vector<std::string>& modules() const { return modules_; }
  // The matrices that have an adapter, and all A and B under the names of lora_parameters().
  const std::vector<Parameter>& matrices() const { return matrices_; }
  const Weights& weights() const { return weights_; }

  // A as PEFT draws it, uniform in ±1/√in, from a stream of its own for each by name; B = 0.
  void initialize() const;
  // Packs A and B anew, after they have changed.
  void refresh() const;
  // weight f32 [out, in], of the matrix number i, holds W on entry and W' on return.
  void merge(size_t i, const Tensor& weight) const;

  // The adapter of a matrix ("...q_proj.weight") whose output begins at that column; nothing where
  // it has none.
  std::optional<Adapter> find(const std::string& matrix, int64_t begin) const;

  // Operations of backward beside the model's own, for one token.
  double backward_flops_per_token() const { return backward_flops_; }

 private:
  struct Packed {
    PackedMatrix merge;  // f32 (s·A)ᵀ [in, r]: for B·(s·A)
    PackedMatrix down, up;
  };
  Tensor scaled(const Tensor& x) const;

  LoraConfig config_;
  std::vector<Parameter> matrices_;
  std::map<std::string, size_t> index_;  // of a matrix by name
  std::vector<std::string> modules_;
  Weights weights_;
  std::vector<Packed> packed_;
  Tensor scaled_;  // f32: s·A or s·B of one matrix
  Tensor hidden_;  // [rows, r]
  double backward_flops_ = 0;
};

}  // namespace minke
