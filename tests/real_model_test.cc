// SmolLM2-135M-Instruct (GGUF, Q4_1) against what llama.cpp makes of it (golden/smollm2.json, by
// tools/make_llama_cpp_golden.mjs). `./run test` fetches the model once; without it these tests are
// skipped.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "model/score.h"
#include "program.h"

namespace minke {
namespace {

using Json = nlohmann::json;

fs::path model_file() {
  const char* path = std::getenv("MINKE_TEST_SMOLLM2");
  return path ? path : fs::path(MINKE_SOURCE_DIR) / "cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

Json golden() {
  return Json::parse(read_file(fs::path(MINKE_SOURCE_DIR) / "tests/golden/smollm2.json"));
}

#define SKIP_WITHOUT_MODEL() \
  if (!fs::exists(model_file())) GTEST_SKIP() << "there is no " << model_file()

// How many of the most likely tokens agree, and the ratio of the perplexities.
struct Agreement {
  double most_likely, perplexity;
};

int32_t argmax(const float* row, int64_t size) {
  return static_cast<int32_t>(std::max_element(row, row + size) - row);
}

Agreement agreement(const Json& theirs, const std::vector<int32_t>& tokens,
                    std::optional<DType> compute) {
  LoadOptions options;
  options.compute = compute;
  options.max_tokens = static_cast<int64_t>(tokens.size());
  options.quiet = true;
  LoadedModel model(model_file(), options);
  int64_t position = 0, same = 0;
  const Scores scores = score_tokens(model, tokens, [&](const Tensor& logits) {
    for (int64_t r = 0; r < logits.rows(); ++r, ++position)
      if (position + 1 < static_cast<int64_t>(tokens.size()))
        same += theirs["most_likely"][position] ==
                argmax(logits.as<float>() + r * logits.columns(), logits.columns());
  });
  const double count = static_cast<double>(tokens.size() - 1);
  return {static_cast<double>(same) / count,
          std::exp((scores.nats - theirs["nats"].get<double>()) / count)};
}

// llama.cpp and Minke both in f32: the same weights mean the same.
TEST(RealModelSlow, AgreesWithLlamaCpp) {
  SKIP_WITHOUT_MODEL();
  const Json expected = golden();
  const auto tokens = expected["tokens"].get<std::vector<int32_t>>();
  ASSERT_GT(tokens.size(), 1000u);
  const Agreement f32 = agreement(expected["f32"], tokens, DType::f32);
  EXPECT_GT(f32.most_likely, 0.99);
  EXPECT_NEAR(f32.perplexity, 1.0, 0.005);
}

// Both round activations to integers, each in its way: each is as far from the other as it is from
// f32 (llama.cpp's own most likely tokens with and without rounding agree at 97 %).
TEST(RealModelSlow, RoundsAsLittleAsLlamaCpp) {
  SKIP_WITHOUT_MODEL();
  const Json expected = golden();
  const auto tokens = expected["tokens"].get<std::vector<int32_t>>();
  const Agreement rounded = agreement(expected["q4_1"], tokens, std::nullopt);
  EXPECT_GT(rounded.most_likely, 0.96);
  EXPECT_NEAR(rounded.perplexity, 1.0, 0.005);
}

TEST(RealModelSlow, TokenizesAsLlamaCpp) {
  SKIP_WITHOUT_MODEL();
  ModelSource source = ModelSource::open(model_file());
  const Tokenizer tokenizer = source.tokenizer();
  for (const Json& string : golden()["strings"]) {
    const std::string text = string["text"];
    EXPECT_EQ(tokenizer.encode(text), string["ids"].get<std::vector<int32_t>>()) << text;
  }
}

class RealProgramSlow : public ProgramTest {};

TEST_F(RealProgramSlow, AnswersSensibly) {
  SKIP_WITHOUT_MODEL();
  const Outcome outcome = run(
      fmt::format("--quiet generate '{}' --chat --greedy -n 24 -p 'What is the capital of France?'",
                  model_file().string()));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("Paris"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace minke
