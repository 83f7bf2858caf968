// Logits, loss and all gradients of tiny models equal those of `transformers` (docs/golden.md).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include "io/safetensors.h"
#include "kernels/isa.h"
#include "model/checkpoint.h"
#include "model/loaded_model.h"
#include "model/transformer.h"

namespace minke {
namespace {

// How far results may be off: logits in units of the largest, the loss relatively, and gradients as
// norms of the difference, for one parameter and for all together.
struct Tolerance {
  double logits, loss, gradient, all_gradients;
};

// bf16 against the oracle in f32; the oracle in bf16 is off as far (tools/make_golden.py prints
// it).
Tolerance tolerance_of(DType compute) {
  if (compute == DType::f32) return {1e-5, 1e-6, 1e-4, 1e-5};
  return {0.06, 0.01, 0.15, 0.06};
}

class Golden : public testing::TestWithParam<const char*> {
 protected:
  Golden()
      : folder_(fs::path(MINKE_SOURCE_DIR) / "tests/golden/models" / GetParam()),
        stored_(inspect_model(folder_)),
        files_(folder_ / "golden.safetensors") {
    const StoredTensor& ids = *files_.find("ids");
    sequences_ = ids.shape[0];
    length_ = ids.shape[1] - 1;
    windows_.resize(static_cast<size_t>(ids.size()));
    std::memcpy(windows_.data(), ids.data.data(), ids.data.size());
  }
  ~Golden() override { set_active_isa(isa_); }

  std::vector<float> golden(const std::string& name) const {
    const StoredTensor* tensor = files_.find(name);
    require(tensor, "golden.safetensors lacks {}", name);
    std::vector<float> values(static_cast<size_t>(tensor->size()));
    files_.copy_as_f32(*tensor, values.data());
    return values;
  }
  std::vector<float> run_logits(DType compute, AttentionForm form) const;
  void check_gradients(DType compute, const Weights& weights) const;

  fs::path folder_;
  StoredModel stored_;
  SafetensorsReader files_;
  int64_t sequences_ = 0, length_ = 0;
  std::vector<int32_t> windows_;  // [sequences, length + 1]
  Isa isa_ = active_isa();
};

// A whole pass of each window's inputs through the pages.
std::vector<float> Golden::run_logits(DType compute, AttentionForm form) const {
  LoadOptions options;
  options.compute = compute;
  options.max_tokens = length_;
  options.quiet = true;
  LoadedModel model(folder_, options);
  std::vector<int32_t> pages(static_cast<size_t>(model.pages())), rows(length_);
  std::iota(pages.begin(), pages.end(), 0);
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<float> values;
  for (int64_t s = 0; s < sequences_; ++s) {
    const std::span<const int32_t> window(windows_.data() + s * (length_ + 1), length_);
    const Tensor logits = model.forward(window, {{0, length_, 0, pages, form}}, rows);
    values.insert(values.end(), logits.as<float>(), logits.as<float>() + logits.size());
  }
  return values;
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

std::vector<float> difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  std::vector<float> result;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) result.push_back(a[i] - b[i]);
  return result;
}

double largest(std::span<const float> values) {
  double most = 0;
  for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

class GoldenInference : public Golden {};

TEST_P(GoldenInference, Logits) {
  const std::vector<float> expected = golden("logits");
  for (const Isa isa : supported_isas())
    for (const DType compute : {DType::f32, DType::bf16})
      for (const AttentionForm form : {AttentionForm::expanded, AttentionForm::absorbed}) {
        set_active_isa(isa);
        const double worst = largest(difference(run_logits(compute, form), expected));
        EXPECT_LT(worst, tolerance_of(compute).logits * largest(expected))
            << isa_name(isa) << " " << dtype_name(compute)
            << (form == AttentionForm::absorbed ? " absorbed" : " expanded");
      }
}

void Golden::check_gradients(DType compute, const Weights& weights) const {
  const Tolerance tolerance = tolerance_of(compute);
  double error = 0, all = 0;
  for (const Parameter& parameter : weights.parameters()) {
    if (parameter.kind == ParameterKind::tied || parameter.kind == ParameterKind::buffer) continue;
    const std::vector<float> expected = golden("gradient." + parameter.name);
    const Tensor gradient = weights.gradient({parameter.name});
    const double deviation =
        norm(difference({gradient.as<float>(), static_cast<size_t>(gradient.size())}, expected));
    EXPECT_LE(deviation, tolerance.gradient * norm(expected)) << parameter.name;
    error += deviation * deviation;
    all += norm(expected) * norm(expected);
  }
  EXPECT_LT(std::sqrt(error / all), tolerance.all_gradients);
}

class GoldenTraining : public Golden {};

TEST_P(GoldenTraining, LossAndGradients) {
  const double tokens = static_cast<double>(sequences_ * length_);
  for (const Isa isa : supported_isas())
    for (const DType compute : {DType::f32, DType::bf16})
      for (const bool recompute : {false, true}) {
        SCOPED_TRACE(
            fmt::format("{} {} recompute {}", isa_name(isa), dtype_name(compute), recompute));
        set_active_isa(isa);
        Arena arena(16 << 20);
        const Weights weights(stored_.config, arena, true);
        load_weights(folder_, weights);
        Transformer model(stored_.config, weights, arena,
                          {compute, true, recompute, sequences_ * length_, length_});
        model.refresh();
        CrossEntropy objective(1.0 / tokens);
        const auto losses = model.forward_backward(window_batch(windows_, length_ + 1, length_),
                                                   objective, {1.0 / tokens, 0.0, 0.0, 1.0});
        const double expected = golden("loss")[0];
        EXPECT_NEAR(losses.main / tokens, expected, tolerance_of(compute).loss * expected);
        check_gradients(compute, weights);
      }
}

std::string test_name(const testing::TestParamInfo<const char*>& info) { return info.param; }

const auto models =
    testing::Values("v3", "v3_yarn", "v3_three_heads", "v3_odd_widths", "v3_no_q_lora",
                    "v3_one_group", "v3_tied", "v2_greedy", "v2_groups_yarn", "llama",
                    "llama_tied_biases", "qwen2", "qwen2_tied", "qwen3_yarn", "qwen3_biases");

INSTANTIATE_TEST_SUITE_P(Models, GoldenInference, models, test_name);
INSTANTIATE_TEST_SUITE_P(Models, GoldenTraining, models, test_name);

}  // namespace
}  // namespace minke
