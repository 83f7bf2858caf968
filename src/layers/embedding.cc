#include "layers/embedding.h"

#include "base/profile.h"
#include "base/threads.h"
#include "kernels/blocks.h"
#include "kernels/loss.h"

namespace minke {

Embedding::Embedding(const LayerBuilder& builder) {
  const std::string name = "model.embed_tokens.weight";
  if (builder.weights.stays_in_source()) {
    stored_ = builder.weights.stored(name);
  } else {
    weight_ = builder.weights.weight(name);
    gradient_ = builder.weights.gradient({name});
  }
}

void Embedding::forward(const Tensor& x, const Tensor& ids) const {
  const ProfilePart part("embedding");
  if (!stored_) return embedding_forward(x, weight_, ids);
  constexpr int64_t tokens_of_task = 16;
  parallel_ranges(x.rows(), tokens_of_task, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t id = ids.as<int32_t>()[t];
      require(id >= 0 && id < stored_->rows, "token {} of an embedding of {} rows", id,
              stored_->rows);
      dequantize_rows(*stored_, id, id + 1, x.row<float>(t));
    }
  });
}

void Embedding::backward(const Tensor& dx, const Tensor& ids) const {
  const ProfilePart part("embedding");
  if (gradient_) embedding_backward(gradient_, dx, ids);
}

}  // namespace minke
