#pragma once
// A loaded model, the engine on it, and the thread that steps it.

#include <condition_variable>
#include <list>
#include <map>
#include <thread>

#include "infer/constrained.h"
#include "infer/engine.h"
#include "serve/admission.h"
#include "serve/options.h"

namespace minke {

// Const members are thread-safe, as are those that say so.
class ServedModel {
 public:
  ServedModel(const ServedModelOptions& options, int64_t queue);
  // Bytes that it will take.
  static int64_t plan_bytes(const ServedModelOptions& options);
  // Cancels what runs.
  ~ServedModel();

  const Tokenizer& tokenizer() const { return tokenizer_; }
  // Nothing: a base model, which continues plain text.
  const std::optional<ChatTemplate>& chat_template() const { return template_; }
  const SamplingOptions& sampling() const { return sampling_; }
  const std::vector<int32_t>& stop_tokens() const { return stop_tokens_; }
  int64_t context() const { return context_; }
  int64_t max_sequences() const { return engine_options_.max_sequences; }
  int64_t hidden_size() const { return model_->config().hidden_size; }

  // Thread-safe, from here on.
  Admission& admission() { return admission_; }
  // Refuses a text of so many bytes that it surely does not fit, before it is cut into tokens, by
  // an ApiError; field: the request's that holds it.
  void check_text_size(const std::string& field, int64_t bytes) const;
  // Refuses what submit() would, by usage Errors.
  void check(const Request& request) const;
  uint64_t submit(Request request);
  void cancel(uint64_t id);
  // The counters are those of all engines that it had.
  EngineStats stats() const;
  // A grammar ready for this vocabulary, kept for the next request with the same text.
  std::shared_ptr<CompiledGrammar> grammar(const std::string& text, const std::string& where,
                                           const std::vector<int32_t>& ends);
  std::shared_ptr<const TokenTrie> trie();

 private:
  using Grammars = std::list<std::pair<std::string, std::shared_ptr<CompiledGrammar>>>;

  ServedModel(ModelSource source, const ServedModelOptions& options, int64_t queue);
  void work();
  void recover(const std::string& reason);

  Tokenizer tokenizer_;
  std::optional<ChatTemplate> template_;
  SamplingOptions sampling_;
  std::vector<int32_t> stop_tokens_;
  int64_t context_ = 0;
  Admission admission_;
  EngineOptions engine_options_;
  std::unique_ptr<LoadedModel> model_;

  mutable std::mutex mutex_;  // for what follows
  std::condition_variable wake_;
  std::unique_ptr<Engine> engine_;
  EngineStats finished_;  // counters of engines that failed
  struct Open {
    uint64_t engine_id;
    std::function<void(const TokenEvent&)> on_tokens;
  };
  std::map<uint64_t, Open> open_;  // by names of this model's own: a new engine's ids begin again
  uint64_t last_id_ = 0;
  bool has_work_ = false, is_stopping_ = false;

  std::mutex grammar_mutex_;  // for what follows
  std::shared_ptr<const TokenTrie> trie_;
  Grammars grammars_;  // newest first
  // Grammars of answers may outlive the model.
  const std::shared_ptr<GrammarMemory> grammar_memory_ = std::make_shared<GrammarMemory>();

  std::thread thread_;
};

}  // namespace minke
