#pragma once
// How good a model is: perplexity of a text, and questions with given answers.

#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "model/score.h"

namespace minke {

struct TextEvaluation {
  int64_t tokens = 0;  // with a log-probability: all but the first
  int64_t bytes = 0;   // of the text that they are
  double nats = 0;

  double perplexity() const;     // e^(nats / tokens)
  double bits_per_byte() const;  // nats / ln 2 / bytes
};

// The whole text in windows as score_tokens() has them, BOS in front where the tokenizer asks for
// it. A text of fewer than two tokens is a usage Error.
TextEvaluation evaluate_text(LoadedModel& model, const std::string& text);

struct ChoiceQuestion {
  std::string question;
  std::vector<std::string> choices;  // at least two
  int64_t answer = 0;                // index of the right one
};

// JSON lines {"question": text, "choices": [text, ...], "answer": index}. What is missing or of
// another type is an Error that names file, line and key.
std::vector<ChoiceQuestion> read_choice_questions(const fs::path& path);

struct ChoiceResult {
  std::vector<double> log_probabilities;  // of each choice after the question, nats
  int64_t most_likely = 0;                // by log-probability
  int64_t most_likely_per_byte = 0;       // by log-probability / bytes of the choice
};

// A choice follows the question after a space, unless one of them brings white space. Its tokens
// are those of both together behind as many as the question alone has. All choices run as one batch
// where the model's batch and pages hold them. One too long for the context is a usage Error.
ChoiceResult answer_question(LoadedModel& model, const ChoiceQuestion& question);

// Right answers of all questions, by either rule.
struct ChoiceEvaluation {
  int64_t questions = 0, right = 0, right_per_byte = 0;

  double accuracy() const { return static_cast<double>(right) / static_cast<double>(questions); }
  double accuracy_per_byte() const {
    return static_cast<double>(right_per_byte) / static_cast<double>(questions);
  }
  // √(p (1 − p) / n) of an accuracy.
  double standard_error(double accuracy) const;
};
ChoiceEvaluation evaluate_choices(LoadedModel& model, std::span<const ChoiceQuestion> questions);

}  // namespace minke
