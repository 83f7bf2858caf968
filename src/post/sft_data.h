#pragma once
// Conversations for fine-tuning: JSONL files to token ids with a weight for each target, in an
// order that is a pure function of (seed, epoch).
//
// A line is {"messages": [{"role": ..., "content": ...}, ...], "tools": [...]} as in OpenAI's API,
// with reasoning_content and tool_calls where there are such; or {"prompt": ..., "completion": ...}
// for models without a chat template, where "parse_special": true makes <think> and other added
// tokens in them tokens. The loss is on what the assistant wrote, its end included.

#include <string>
#include <vector>

#include "base/files.h"
#include "model/transformer.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace minke {

struct SftExample {
  std::vector<int32_t> tokens;
  std::vector<float> weights;  // of the targets tokens[1 ..]: 1 where the assistant wrote them
  int64_t answer_bytes = 0;    // of those targets

  int64_t rows() const { return static_cast<int64_t>(weights.size()); }
  TrainingSegment segment() const { return {rows(), tokens, weights}; }
};

// The examples of one line; `where` names it in errors. A conversation whose template repeats each
// turn as it was is one example. Where it does not (it drops earlier reasoning), every answer that
// would be lost is an example of its own. chat: may be null if no line has messages.
std::vector<SftExample> parse_conversation(const std::string& line, const std::string& where,
                                           const Tokenizer& tokenizer, const ChatTemplate* chat);

// Immutable after construction; thread-safe.
class SftData {
 public:
  // files: "chat.jsonl:2, more.jsonl". A line that cannot be read is an Error that names it.
  // Examples of more than max_tokens inputs, and those without an answer, are left out and counted.
  SftData(const std::string& files, const Tokenizer& tokenizer, const ChatTemplate* chat,
          int64_t max_tokens, uint64_t seed);

  int64_t examples() const { return static_cast<int64_t>(examples_.size()); }
  int64_t left_out() const { return left_out_; }
  // Inputs of one epoch; with fractions, of the mean one.
  double epoch_tokens() const;
  // What an epoch consists of, in order.
  std::vector<const SftExample*> epoch(uint64_t number) const;
  const std::vector<SftExample>& all() const { return examples_; }
  // Of the files and how often each is taken.
  const std::string& sha256() const { return sha256_; }

 private:
  struct Source {
    size_t begin, end;  // of examples_
    double times;
  };
  void read(const fs::path& path, const Tokenizer& tokenizer, const ChatTemplate* chat,
            int64_t max_tokens);

  std::vector<SftExample> examples_;
  std::vector<Source> sources_;
  uint64_t seed_;
  int64_t left_out_ = 0;
  std::string sha256_;
};

}  // namespace minke
