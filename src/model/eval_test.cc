#include "model/eval.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "base/error.h"
#include "model/checkpoint.h"

namespace minke {
namespace {

const fs::path golden = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden";

// A random model with the small tokenizer.
class Eval : public testing::Test {
 protected:
  Eval() {
    ModelConfig c;
    c.vocab_size = 1000;
    c.hidden_size = 32;
    c.intermediate_size = 48;
    c.moe_intermediate_size = 16;
    c.num_hidden_layers = 2;
    c.first_k_dense_replace = 1;
    c.num_attention_heads = 2;
    c.n_routed_experts = 4;
    c.num_experts_per_tok = 2;
    c.n_group = c.topk_group = 1;
    c.q_lora_rank = c.kv_lora_rank = 16;
    c.qk_nope_head_dim = c.qk_rope_head_dim = c.v_head_dim = 8;
    c.max_position_embeddings = 128;
    Arena arena = Arena::counting();
    const Weights planned(c, arena, false);
    arena = Arena(arena.used());
    const Weights weights(c, arena, false);
    initialize_weights(weights, 0.2, 3);
    fs::create_directories(folder_);
    save_weights(folder_, c, weights, DType::f32);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      fs::copy(golden / "tokenizer_small" / name, folder_ / name);
  }
  ~Eval() override { fs::remove_all(folder_); }

  LoadedModel load(int64_t batch_tokens) const {
    LoadOptions options;
    options.quiet = true;
    options.batch_tokens = options.batch_logits = batch_tokens;
    options.cache_tokens = 1024;
    return LoadedModel(folder_, options);
  }
  std::string error_of(const std::string& questions) const {
    write_file(folder_ / "q.jsonl", questions);
    try {
      read_choice_questions(folder_ / "q.jsonl");
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-eval-{}", ::getpid());
};

TEST_F(Eval, PerplexityIsOfAllTokensButTheFirst) {
  LoadedModel model = load(256);
  const std::string text = "the whale and the sea, and the ship";
  const std::vector<int32_t> tokens =
      model.tokenizer().encode(text, {model.tokenizer().adds_bos()});
  const Scores scores = score_tokens(model, tokens);
  const TextEvaluation result = evaluate_text(model, text);
  EXPECT_EQ(result.nats, scores.nats);
  EXPECT_EQ(result.tokens, static_cast<int64_t>(tokens.size()) - 1);
  EXPECT_DOUBLE_EQ(result.perplexity(), std::exp(scores.nats / static_cast<double>(result.tokens)));
  EXPECT_LE(result.bytes, static_cast<int64_t>(text.size()));
  EXPECT_GT(result.bits_per_byte(), 0);
  EXPECT_THROW(evaluate_text(model, ""), Error);
}

TEST_F(Eval, ChoicesOfOneBatchScoreAsEachAlone) {
  LoadedModel together = load(256), alone = load(8);
  const ChoiceQuestion question{
      "The whale is", {"large and blue", "small", "a kind of ship at sea"}, 1};
  const ChoiceResult one = answer_question(together, question);
  EXPECT_EQ(one.log_probabilities, answer_question(alone, question).log_probabilities);
  for (size_t i = 0; i < question.choices.size(); ++i) {
    const Tokenizer& tokenizer = together.tokenizer();
    const EncodeOptions options{tokenizer.adds_bos()};
    const auto tokens = tokenizer.encode("The whale is " + question.choices[i], options);
    const size_t begin = tokenizer.encode("The whale is", options).size();
    const Scores scores = score_tokens(together, tokens);
    double expected = 0;
    for (size_t t = begin; t < tokens.size(); ++t) expected += *scores.log_probabilities[t];
    EXPECT_NEAR(one.log_probabilities[i], expected, 1e-9);
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LE(one.log_probabilities[i], one.log_probabilities[one.most_likely]);
    const auto per_byte = [&](size_t c) {
      return one.log_probabilities[c] / static_cast<double>(question.choices[c].size());
    };
    EXPECT_LE(per_byte(i), per_byte(one.most_likely_per_byte));
  }
}

TEST_F(Eval, AccuracyCountsRightAnswers) {
  LoadedModel model = load(256);
  std::vector<ChoiceQuestion> questions = {{"a b", {"c", "dog", "the sea"}, 0},
                                           {"The ship", {"sinks", "sails on"}, 0}};
  int64_t right = 0, right_per_byte = 0;
  for (ChoiceQuestion& question : questions) {
    const ChoiceResult result = answer_question(model, question);
    right += result.most_likely == question.answer;
    right_per_byte += result.most_likely_per_byte == question.answer;
  }
  const ChoiceEvaluation evaluation = evaluate_choices(model, questions);
  EXPECT_EQ(evaluation.right, right);
  EXPECT_EQ(evaluation.right_per_byte, right_per_byte);
  EXPECT_EQ(evaluation.questions, 2);
  EXPECT_NEAR(evaluation.standard_error(0.5), std::sqrt(0.125), 1e-12);
  questions[0].choices[0] = std::string(2000, 'x');
  EXPECT_THROW(evaluate_choices(model, questions), Error);
}

TEST_F(Eval, QuestionsOfAFile) {
  const std::string good = R"({"question": "q", "choices": ["a", "b"], "answer": 1})";
  EXPECT_EQ(error_of(good + "\n\n" + good + "\n"), "no error");
  EXPECT_EQ(read_choice_questions(folder_ / "q.jsonl").size(), 2u);
  for (const auto& [line, part] : std::initializer_list<std::pair<std::string, const char*>>{
           {"", "no questions"},
           {good + "\n{", "q.jsonl:2"},
           {"[]", "\"question\" is missing"},
           {R"({"question": "q", "choices": ["a", "b"]})", "\"answer\" is missing"},
           {R"({"question": "q", "choices": ["a"], "answer": 0})", "1 choices"},
           {R"({"question": "q", "choices": ["a", 1], "answer": 0})", "a choice is 1"},
           {R"({"question": "q", "choices": ["a", "b"], "answer": 2})", "\"answer\" is 2"}})
    EXPECT_NE(error_of(line).find(part), std::string::npos) << error_of(line);
}

}  // namespace
}  // namespace minke
