#include "model/eval.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "config/json.h"
#include "kernels/loss.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// A sequence and where the choice begins in it.
struct Continuation {
  std::vector<int32_t> tokens;
  int64_t begin = 0;

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  int64_t pages() const { return (size() + page_tokens - 1) / page_tokens; }
};

Continuation continuation_of(LoadedModel& model, const std::string& question,
                             const std::string& choice) {
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t'; };
  const bool spaced = question.empty() || is_space(question.back()) ||
                      (!choice.empty() && is_space(choice.front()));
  const Tokenizer& tokenizer = model.tokenizer();
  const EncodeOptions options{tokenizer.adds_bos()};
  Continuation result;
  result.tokens = tokenizer.encode(question + (spaced ? "" : " ") + choice, options);
  result.begin = static_cast<int64_t>(tokenizer.encode(question, options).size());
  // The last token may hold the question's end and the choice; the first has no log-probability.
  result.begin = std::clamp<int64_t>(result.begin, 1, std::max<int64_t>(1, result.size() - 1));
  if (result.size() < 2)
    fail_usage("a question and its choice are {} tokens together: \"{}\"", result.size(), choice);
  if (result.size() > model.max_tokens())
    fail_usage("a question and its choice are {} tokens, the context holds {}", result.size(),
               model.max_tokens());
  return result;
}

// Σ log p of the choices of sequences that fit into one batch together.
std::vector<double> run_batch(LoadedModel& model, std::span<const Continuation> sequences) {
  std::vector<int32_t> tokens, targets, rows;
  std::vector<std::vector<int32_t>> pages;
  std::vector<BatchSegment> segments;
  pages.reserve(sequences.size());  // segments point into it
  int32_t next_page = 0;
  for (const Continuation& sequence : sequences) {
    std::vector<int32_t>& own = pages.emplace_back(static_cast<size_t>(sequence.pages()));
    std::iota(own.begin(), own.end(), next_page);
    next_page += static_cast<int32_t>(own.size());
    const auto begin = static_cast<int64_t>(tokens.size());
    segments.push_back({begin, begin + sequence.size(), 0, own, AttentionForm::expanded});
    tokens.insert(tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
    targets.insert(targets.end(), sequence.tokens.begin() + 1, sequence.tokens.end());
    targets.push_back(-1);
  }
  rows.resize(tokens.size());
  std::iota(rows.begin(), rows.end(), 0);
  const Tensor logits = model.forward(tokens, segments, rows);
  std::vector<float> losses(tokens.size());
  const auto count = static_cast<int64_t>(tokens.size());
  cross_entropy(Tensor(losses.data(), DType::f32, {count}), Tensor(), logits,
                Tensor(targets.data(), DType::i32, {count}), 0.0f);
  std::vector<double> sums;
  for (size_t i = 0; i < sequences.size(); ++i) {
    double sum = 0;
    for (int64_t t = sequences[i].begin; t < sequences[i].size(); ++t)
      sum -= losses[segments[i].row_begin + t - 1];
    sums.push_back(sum);
  }
  return sums;
}

double score_alone(LoadedModel& model, const Continuation& sequence) {
  const Scores scores = score_tokens(model, sequence.tokens);
  double sum = 0;
  for (int64_t t = sequence.begin; t < sequence.size(); ++t)
    sum += scores.log_probabilities[t].value_or(0.0);
  return sum;
}

std::vector<double> score_continuations(LoadedModel& model,
                                        const std::vector<Continuation>& sequences) {
  int64_t rows = 0, pages = 0;
  for (const Continuation& sequence : sequences) {
    rows += sequence.size();
    pages += sequence.pages();
  }
  if (rows <= std::min(model.batch_tokens(), model.batch_logits()) && pages <= model.pages())
    return run_batch(model, sequences);
  std::vector<double> sums;
  sums.reserve(sequences.size());
  for (const Continuation& sequence : sequences) sums.push_back(score_alone(model, sequence));
  return sums;
}

ChoiceQuestion parse_question(const std::string& line, const std::string& where) {
  const Json json = parse_json(line, where);
  const auto has = [&](const char* key, auto is) {
    if (!json.is_object() || !json.contains(key) || !(json[key].*is)())
      fail(
          "{}: \"{}\" is missing or of another type; expected {{\"question\": text, \"choices\": "
          "[text, ...], \"answer\": index}}",
          where, key);
  };
  has("question", &Json::is_string);
  has("choices", &Json::is_array);
  has("answer", &Json::is_number_integer);
  ChoiceQuestion question{json["question"], {}, json["answer"]};
  for (const Json& choice : json["choices"]) {
    if (!choice.is_string() || choice.get<std::string>().empty())
      fail("{}: a choice is {}, expected text", where, choice.dump());
    question.choices.push_back(choice);
  }
  const auto count = static_cast<int64_t>(question.choices.size());
  if (count < 2) fail("{}: there are {} choices, expected two or more", where, count);
  if (question.answer < 0 || question.answer >= count)
    fail("{}: \"answer\" is {}, expected an index of {} choices", where, question.answer, count);
  return question;
}

}  // namespace

double TextEvaluation::perplexity() const { return std::exp(nats / static_cast<double>(tokens)); }

double TextEvaluation::bits_per_byte() const {
  return nats / std::numbers::ln2 / static_cast<double>(bytes);
}

TextEvaluation evaluate_text(LoadedModel& model, const std::string& text) {
  const Tokenizer& tokenizer = model.tokenizer();
  const std::vector<int32_t> tokens = tokenizer.encode(text, {tokenizer.adds_bos()});
  if (tokens.size() < 2) fail_usage("the text has {} tokens, expected two or more", tokens.size());
  TextEvaluation result;
  result.nats = score_tokens(model, tokens).nats;
  result.tokens = static_cast<int64_t>(tokens.size()) - 1;
  for (size_t i = 1; i < tokens.size(); ++i)
    if (!tokenizer.is_special(tokens[i]))
      result.bytes += static_cast<int64_t>(tokenizer.token_bytes(tokens[i]).size());
  return result;
}

std::vector<ChoiceQuestion> read_choice_questions(const fs::path& path) {
  const std::string text = read_file(path);
  std::vector<ChoiceQuestion> questions;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    questions.push_back(parse_question(line, fmt::format("{}:{}", path.string(), number)));
  }
  if (questions.empty()) fail("{}: there are no questions", path.string());
  return questions;
}

ChoiceResult answer_question(LoadedModel& model, const ChoiceQuestion& question) {
  std::vector<Continuation> sequences;
  for (const std::string& choice : question.choices)
    sequences.push_back(continuation_of(model, question.question, choice));
  ChoiceResult result;
  result.log_probabilities = score_continuations(model, sequences);
  const auto per_byte = [&](int64_t i) {
    return result.log_probabilities[i] / static_cast<double>(question.choices[i].size());
  };
  for (int64_t i = 1; i < static_cast<int64_t>(question.choices.size()); ++i) {
    if (result.log_probabilities[i] > result.log_probabilities[result.most_likely])
      result.most_likely = i;
    if (per_byte(i) > per_byte(result.most_likely_per_byte)) result.most_likely_per_byte = i;
  }
  return result;
}

double ChoiceEvaluation::standard_error(double accuracy) const {
  return std::sqrt(accuracy * (1 - accuracy) / static_cast<double>(questions));
}

ChoiceEvaluation evaluate_choices(LoadedModel& model, std::span<const ChoiceQuestion> questions) {
  ChoiceEvaluation evaluation;
  for (const ChoiceQuestion& question : questions) {
    const ChoiceResult result = answer_question(model, question);
    ++evaluation.questions;
    evaluation.right += result.most_likely == question.answer;
    evaluation.right_per_byte += result.most_likely_per_byte == question.answer;
  }
  return evaluation;
}

}  // namespace minke
