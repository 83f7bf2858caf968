#pragma once
// The embedding: row `id` of a [vocab, hidden] matrix for each token. In inference rows are read
// from where they are stored.

#include <optional>

#include "layers/linear.h"

namespace minke {

class Embedding {
 public:
  explicit Embedding(const LayerBuilder& builder);

  // x f32 [T, hidden]; ids i32 [T], each a row of the matrix.
  void forward(const Tensor& x, const Tensor& ids) const;
  // The gradient grows by dx's rows.
  void backward(const Tensor& dx, const Tensor& ids) const;

 private:
  Tensor weight_, gradient_;            // f32 [vocab, hidden]; training only
  std::optional<StoredMatrix> stored_;  // inference only
};

}  // namespace minke
