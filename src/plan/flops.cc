#include "plan/flops.h"

#include "plan/model_shape.h"

namespace minke {

double forward_flops_per_token(const ModelConfig& c, int64_t sequence_length, bool with_mtp) {
  return shape_of(c).forward_flops(sequence_length, with_mtp);
}

double training_flops_per_token(const ModelConfig& config, int64_t sequence_length) {
  return 3 * forward_flops_per_token(config, sequence_length, true);
}

}  // namespace minke
