#include "serve/served_model.h"

#include "api/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "infer/generation_config.h"
#include "serve/metrics.h"

namespace minke {
namespace {

constexpr int64_t default_context = 8192;
constexpr int64_t default_cache_contexts = 4;  // whole contexts that the pages hold
constexpr int64_t scored_rows = 64;            // of a prompt, in one step
constexpr size_t most_grammars = 32;

std::optional<ChatTemplate> find_template(const ModelSource& source, const Tokenizer& tokenizer) {
  const std::string text = source.chat_template_text();
  try {
    return ChatTemplate::detect(text, tokenizer);
  } catch (const Error& error) {
    warn("{}: {}. It continues messages as plain text", source.where(), error.what());
    return std::nullopt;
  }
}

LoadOptions load_options(const ServedModelOptions& options, const ModelConfig& config) {
  LoadOptions load;
  load.compute = options.compute;
  load.max_tokens = options.context
                        ? options.context
                        : std::min<int64_t>(default_context, config.max_position_embeddings);
  load.cache_tokens =
      options.cache_tokens ? options.cache_tokens : default_cache_contexts * load.max_tokens;
  load.batch_logits = options.max_sequences * (1 + options.draft_tokens) + scored_rows;
  load.batch_tokens = std::max<int64_t>(load.batch_tokens, load.batch_logits);
  load.drafts = options.draft_tokens > 0;
  return load;
}

}  // namespace

int64_t ServedModel::plan_bytes(const ServedModelOptions& options) {
  const ModelSource source = ModelSource::open(options.path);
  const auto plan = plan_memory(source.config(), source, options.compute.value_or(source.dtype()),
                                load_options(options, source.config()), source.where());
  return plan.total() + static_cast<int64_t>(GrammarMemory::default_bytes);
}

ServedModel::ServedModel(const ServedModelOptions& options, int64_t queue)
    : ServedModel(ModelSource::open(options.path), options, queue) {}

ServedModel::ServedModel(ModelSource source, const ServedModelOptions& options, int64_t queue)
    : tokenizer_(source.tokenizer()),
      template_(find_template(source, tokenizer_)),
      sampling_(recommended_sampling(source)),
      admission_(options.max_sequences, queue) {
  if (template_) stop_tokens_ = template_->stop_ids(tokenizer_);
  engine_options_.max_sequences = options.max_sequences;
  engine_options_.draft_tokens = options.draft_tokens;
  const LoadOptions load = load_options(options, source.config());
  model_ = std::make_unique<LoadedModel>(std::move(source), load);
  context_ = std::min(model_->max_tokens(), model_->pages() * page_tokens);
  engine_ = std::make_unique<Engine>(*model_, tokenizer_, engine_options_);
  thread_ = std::thread([this] { work(); });
}

ServedModel::~ServedModel() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    for (const auto& [id, open] : open_) engine_->cancel(open.engine_id);
  }
  wake_.notify_all();
  thread_.join();
}

void ServedModel::work() {
  while (true) {
    try {
      if (engine_->step()) continue;
    } catch (const std::exception& e) {
      recover(e.what());
    }
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return has_work_ || is_stopping_; });
    if (is_stopping_ && !has_work_) return;
    has_work_ = false;
  }
}

// A step that failed as a whole ends the answers of this model; a new engine takes the next ones.
void ServedModel::recover(const std::string& reason) {
  error("a step of the engine failed: {}", reason);
  TokenEvent event;
  event.finish = FinishReason::error;
  event.error = "the engine failed: " + reason;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, open] : open_) open.on_tokens(event);
  open_.clear();
  add_counters(finished_, engine_->stats());
  engine_ = std::make_unique<Engine>(*model_, tokenizer_, engine_options_);
}

void ServedModel::check_text_size(const std::string& field, int64_t bytes) const {
  constexpr int64_t longest_token = 128;
  if (bytes > context_ * longest_token)
    throw ApiError(400,
                   fmt::format("{} has {} bytes, the context holds {} tokens; shorten it", field,
                               bytes, context_),
                   field);
}

void ServedModel::check(const Request& request) const {
  const std::lock_guard lock(mutex_);
  engine_->check(request);
}

uint64_t ServedModel::submit(Request request) {
  const std::lock_guard lock(mutex_);
  if (is_stopping_) fail("the model is being unloaded");
  const auto on_tokens = request.on_tokens;
  const uint64_t id = ++last_id_;
  request.on_tokens = [this, on_tokens, id](const TokenEvent& event) {
    on_tokens(event);
    if (event.finish == FinishReason::none) return;
    const std::lock_guard lock(mutex_);
    open_.erase(id);
  };
  open_[id] = {engine_->submit(std::move(request)), on_tokens};
  has_work_ = true;
  wake_.notify_all();
  return id;
}

void ServedModel::cancel(uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto open = open_.find(id);
  if (open == open_.end()) return;
  engine_->cancel(open->second.engine_id);
  has_work_ = true;
  wake_.notify_all();
}

EngineStats ServedModel::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = engine_->stats();
  add_counters(stats, finished_);
  return stats;
}

std::shared_ptr<const TokenTrie> ServedModel::trie() {
  const std::lock_guard lock(grammar_mutex_);
  if (!trie_) trie_ = std::make_shared<const TokenTrie>(tokenizer_);
  return trie_;
}

std::shared_ptr<CompiledGrammar> ServedModel::grammar(const std::string& text,
                                                      const std::string& where,
                                                      const std::vector<int32_t>& ends) {
  std::string key = text;
  for (const int32_t end : ends) key += fmt::format(" {}", end);
  const auto trie = this->trie();
  {
    const std::lock_guard lock(grammar_mutex_);
    const auto found = std::find_if(grammars_.begin(), grammars_.end(),
                                    [&](const auto& entry) { return entry.first == key; });
    if (found != grammars_.end()) {
      grammars_.splice(grammars_.begin(), grammars_, found);
      return grammars_.front().second;
    }
  }
  auto compiled = std::make_shared<CompiledGrammar>(Grammar::parse(text, where), where, trie, ends,
                                                    grammar_memory_);
  const std::lock_guard lock(grammar_mutex_);
  grammars_.emplace_front(std::move(key), compiled);
  if (grammars_.size() > most_grammars) grammars_.pop_back();
  return compiled;
}

}  // namespace minke
