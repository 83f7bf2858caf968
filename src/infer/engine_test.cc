#include "infer/engine.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <thread>

#include "base/random.h"
#include "model/score.h"
#include "text/bpe_trainer.h"

namespace minke {
namespace {

Tokenizer make_tokenizer() {
  BpeTrainer trainer({.vocab_size = 320});
  Random random(3);
  for (int i = 0; i < 400; ++i) {
    std::string words;
    for (int j = 0; j < 8; ++j)
      for (int letter = 0; letter < 5; ++letter)
        words += letter == 4 ? ' ' : static_cast<char>('a' + random.below(9));
    trainer.add(words + "the whale and the sea");
  }
  return Tokenizer(trainer.train());
}

const Tokenizer& tokenizer() {
  static const Tokenizer instance = make_tokenizer();
  return instance;
}

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 320;
  config.hidden_size = 32;
  config.ngram_vocab_size = 64;
  config.intermediate_size = 48;
  config.moe_intermediate_size = 16;
  config.num_hidden_layers = 2;
  config.first_k_dense_replace = 1;
  config.num_attention_heads = 2;
  config.n_routed_experts = 4;
  config.num_experts_per_tok = 2;
  config.n_group = config.topk_group = 1;
  config.q_lora_rank = 16;
  config.kv_lora_rank = 16;
  config.qk_nope_head_dim = 8;
  config.qk_rope_head_dim = 4;
  config.v_head_dim = 8;
  config.max_position_embeddings = 512;
  return config;
}

// A model with random weights and an engine on it.
struct Fixture {
  explicit Fixture(EngineOptions engine_options = {}, int64_t cache_tokens = 2048,
                   int64_t batch_tokens = 48, bool mtp = false, DType compute = DType::bf16) {
    ModelConfig config = small_config();
    config.num_nextn_predict_layers = mtp;
    Arena counting = Arena::counting();
    const Weights planned(config, counting, false);
    arena = Arena(counting.used());
    weights = std::make_unique<Weights>(config, arena, false);
    initialize_weights(*weights, 0.15, 5);
    source = std::make_unique<FlatSource>(*weights);
    LoadOptions options;
    options.compute = compute;
    options.cache_tokens = cache_tokens;
    options.batch_tokens = batch_tokens;
    options.drafts = mtp;
    options.quiet = true;
    model = std::make_unique<LoadedModel>(config, *source, options);
    engine = std::make_unique<Engine>(*model, tokenizer(), engine_options);
  }

  // Queues a request whose events end up in `answers`.
  uint64_t submit(Request request) {
    const auto answer = std::make_shared<TokenEvent>();
    request.on_tokens = [answer](const TokenEvent& event) {
      EXPECT_EQ(answer->finish, FinishReason::none);
      answer->tokens.insert(answer->tokens.end(), event.tokens.begin(), event.tokens.end());
      answer->text += event.text;
      answer->log_probabilities.insert(answer->log_probabilities.end(),
                                       event.log_probabilities.begin(),
                                       event.log_probabilities.end());
      answer->prompt_log_probabilities.insert(answer->prompt_log_probabilities.end(),
                                              event.prompt_log_probabilities.begin(),
                                              event.prompt_log_probabilities.end());
      answer->cached_tokens = event.cached_tokens;
      answer->finish = event.finish;
      answer->error = event.error;
      answer->stop_string = event.stop_string;
      answer->embedding = event.embedding;
    };
    const uint64_t id = engine->submit(std::move(request));
    answers[id] = answer;
    return id;
  }
  void run() {
    while (engine->step()) continue;
  }
  const TokenEvent& answer(uint64_t id) { return *answers.at(id); }

  Arena arena = Arena::counting();
  std::unique_ptr<Weights> weights;
  std::unique_ptr<FlatSource> source;
  std::unique_ptr<LoadedModel> model;
  std::unique_ptr<Engine> engine;
  std::map<uint64_t, std::shared_ptr<TokenEvent>> answers;
};

Request request_of(int64_t prompt, uint64_t seed, int64_t max_tokens = 40,
                   double temperature = 0.8) {
  Request request;
  Random random(seed);
  for (int64_t i = 0; i < prompt; ++i)
    request.prompt.push_back(static_cast<int32_t>(3 + random.below(290)));
  request.sampling.seed = seed;
  request.sampling.temperature = temperature;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

std::vector<int32_t> answer_alone(const Request& request, EngineOptions options = {}) {
  Fixture fixture(options);
  const uint64_t id = fixture.submit(request);
  fixture.run();
  EXPECT_EQ(fixture.answer(id).finish, FinishReason::length) << fixture.answer(id).error;
  return fixture.answer(id).tokens;
}

TEST(Engine, ManyAtOnceGiveWhatEachGivesAlone) {
  EngineOptions options;
  options.max_sequences = 5;
  Fixture fixture(options);
  std::map<uint64_t, Request> requests;
  for (uint64_t seed = 1; seed <= 9; ++seed) {
    const Request request = request_of(static_cast<int64_t>(seed * 23), seed);
    requests[fixture.submit(request)] = request;
    fixture.engine->step();
  }
  fixture.run();
  for (const auto& [id, request] : requests)
    EXPECT_EQ(fixture.answer(id).tokens, answer_alone(request));
  const EngineStats stats = fixture.engine->stats();
  EXPECT_EQ(stats.generated_tokens, 9 * 40);
  EXPECT_EQ(stats.pages_used, 0);
  EXPECT_EQ(stats.running + stats.waiting, 0);
}

// All that run end in the same step while others wait: there is more to do.
TEST(Engine, AnswersThatEndTogetherLeaveNobodyWaiting) {
  EngineOptions options;
  options.max_sequences = 2;
  Fixture fixture(options);
  for (uint64_t seed = 1; seed <= 6; ++seed) fixture.submit(request_of(20, seed, 1));
  fixture.run();
  for (const auto& [id, answer] : fixture.answers) EXPECT_EQ(answer->tokens.size(), 1u) << id;
}

// Pages for two of the four: the others are preempted and computed again, with the same result.
TEST(Engine, PreemptionChangesNoToken) {
  EngineOptions options;
  options.max_sequences = 4;
  Fixture fixture(options, 6 * page_tokens);
  std::map<uint64_t, Request> requests;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Request request = request_of(60, seed, 120);
    requests[fixture.submit(request)] = request;
  }
  fixture.run();
  EXPECT_GT(fixture.engine->stats().preemptions, 0);
  EXPECT_EQ(fixture.engine->stats().prompt_tokens, 4 * 60);
  for (const auto& [id, request] : requests) {
    EXPECT_EQ(fixture.answer(id).tokens, answer_alone(request));
    EXPECT_EQ(fixture.answer(id).cached_tokens, 0);  // its own pages are none that it found
  }
}

TEST(Engine, PromptsThatBeginAlikeShareTheirPages) {
  Fixture fixture;
  const Request request = request_of(200, 1, 10);
  const uint64_t first = fixture.submit(request), second = fixture.submit(request);
  fixture.run();
  const uint64_t third = fixture.submit(request);
  fixture.run();
  EXPECT_EQ(fixture.engine->stats().cached_prompt_tokens, 2 * 192);
  EXPECT_EQ(fixture.answer(first).tokens, fixture.answer(second).tokens);
  EXPECT_EQ(fixture.answer(first).tokens, fixture.answer(third).tokens);
}

// Prompts that repeat themselves, so that drafts are found after some of them.
TEST(Engine, DraftsChangeNoToken) {
  for (const double temperature : {0.0, 0.3}) {
    int64_t drafted = 0;
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      Request request = request_of(20, seed, 100, temperature);
      for (int i = 0; i < 60; ++i) request.prompt.push_back(request.prompt[i]);
      EngineOptions drafting;
      drafting.draft_tokens = 4;
      drafting.always_draft = true;
      drafting.max_sequences = 2;
      Fixture fixture(drafting);
      const uint64_t id = fixture.submit(request);
      fixture.run();
      drafted += fixture.engine->stats().drafted_tokens;
      EXPECT_EQ(fixture.answer(id).tokens, answer_alone(request));
    }
    EXPECT_GT(drafted, 0);
  }
}

// By the MTP module, for several answers at once, with chunks of prompts and too few pages.
TEST(Engine, DraftsOfTheModelChangeNoToken) {
  for (const int64_t drafts : {1, 3}) {
    EngineOptions drafting;
    drafting.draft_tokens = drafts;
    drafting.always_draft = true;
    drafting.max_sequences = 4;
    Fixture fixture(drafting, 7 * page_tokens, 48, true);
    std::map<uint64_t, Request> requests;
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const Request request = request_of(static_cast<int64_t>(25 * seed), seed, 90, 0.5);
      requests[fixture.submit(request)] = request;
    }
    fixture.run();
    for (const auto& [id, request] : requests)
      EXPECT_EQ(fixture.answer(id).tokens, answer_alone(request));
    const EngineStats stats = fixture.engine->stats();
    EXPECT_GT(stats.drafted_tokens, 100);
    EXPECT_LT(stats.accepted_tokens, stats.drafted_tokens);
  }
}

TEST(Engine, AttentionModesAgreeNearly) {
  const Request request = request_of(100, 2, 12, 0.0);
  for (const AttentionMode mode : {AttentionMode::absorbed, AttentionMode::expanded}) {
    EngineOptions options;
    options.attention = mode;
    EXPECT_EQ(answer_alone(request, options).front(), answer_alone(request).front());
  }
}

TEST(Engine, EndsAtStopTokensAndStopStrings) {
  const Request request = request_of(30, 6);
  const std::vector<int32_t> tokens = answer_alone(request);
  Fixture fixture;
  Request stop_token = request;
  stop_token.stop_tokens = {tokens[5]};
  const size_t first = std::find(tokens.begin(), tokens.end(), tokens[5]) - tokens.begin();
  Request stop_string = request;
  const uint64_t whole = fixture.submit(request);
  fixture.run();
  const std::string text = fixture.answer(whole).text;
  size_t at = 5;  // two plain characters, in the middle
  while (text.at(at) < 0 || text.at(at + 1) < 0) ++at;
  stop_string.stop = {text.substr(at, 2)};
  const uint64_t a = fixture.submit(stop_token), b = fixture.submit(stop_string);
  fixture.run();
  EXPECT_EQ(fixture.answer(a).finish, FinishReason::stop);
  EXPECT_EQ(fixture.answer(a).tokens.size(), first);
  EXPECT_EQ(fixture.answer(b).finish, FinishReason::stop);
  EXPECT_EQ(fixture.answer(b).text, text.substr(0, text.find(stop_string.stop[0])));
  EXPECT_EQ(fixture.answer(b).stop_string, stop_string.stop[0]);
}

TEST(Engine, CancellationFreesPagesAtOnce) {
  Fixture fixture;
  const uint64_t id = fixture.submit(request_of(100, 1)), other = fixture.submit(request_of(30, 2));
  for (int i = 0; i < 6; ++i) fixture.engine->step();
  fixture.engine->cancel(id);
  fixture.engine->step();
  EXPECT_EQ(fixture.answer(id).finish, FinishReason::cancelled);
  EXPECT_EQ(fixture.engine->stats().pages_used, 1);
  fixture.run();
  EXPECT_EQ(fixture.answer(other).tokens.size(), 40u);
}

TEST(Engine, LogProbabilitiesComeWithEachToken) {
  Fixture fixture;
  Request request = request_of(10, 3, 8);
  request.top_log_probabilities = 3;
  const uint64_t id = fixture.submit(request);
  fixture.run();
  ASSERT_EQ(fixture.answer(id).log_probabilities.size(), 8u);
  EXPECT_EQ(fixture.answer(id).log_probabilities[0].top.size(), 3u);
  EXPECT_LE(fixture.answer(id).log_probabilities[0].chosen, 0);
}

// They are those of `minke score`, whatever else runs and however the prompt is cut.
TEST(Engine, APromptIsScored) {
  EngineOptions options;
  options.max_sequences = 2;
  Fixture fixture(options);
  Request request = request_of(200, 3, 4);
  const Scores scores = score_tokens(*fixture.model, request.prompt);
  const uint64_t plain = fixture.submit(request);
  fixture.run();
  request.prompt_log_probabilities = true;
  request.top_log_probabilities = 2;
  const uint64_t id = fixture.submit(request);
  fixture.submit(request_of(90, 8));
  fixture.run();
  const TokenEvent& answer = fixture.answer(id);
  EXPECT_EQ(answer.tokens, fixture.answer(plain).tokens);
  EXPECT_EQ(answer.cached_tokens, 0);
  ASSERT_EQ(answer.prompt_log_probabilities.size(), 199u);
  for (size_t i = 0; i < 199; ++i) {
    EXPECT_NEAR(answer.prompt_log_probabilities[i].chosen, *scores.log_probabilities[i + 1], 1e-5);
    EXPECT_EQ(answer.prompt_log_probabilities[i].top.size(), 2u);
  }
  request.prompt_log_probabilities = false;
  const uint64_t again = fixture.submit(request);
  fixture.run();
  EXPECT_EQ(fixture.answer(again).cached_tokens, 192);
}

// The head is linear: it makes the mean of the hidden states the mean of their logits.
TEST(Engine, AnEmbeddingIsTheMeanOfTheHiddenStates) {
  EngineOptions options;
  options.max_sequences = 2;
  Fixture fixture(options, 2048, 256, false, DType::f32);
  Request request = request_of(200, 3);
  request.embedding = true;
  const uint64_t id = fixture.submit(request);
  fixture.run();
  const std::vector<float>& embedding = fixture.answer(id).embedding;
  ASSERT_EQ(embedding.size(), 32u);
  EXPECT_EQ(fixture.answer(id).finish, FinishReason::stop);
  EXPECT_TRUE(fixture.answer(id).tokens.empty());
  std::vector<int32_t> rows(200), pages = {0, 1, 2, 3};
  std::iota(rows.begin(), rows.end(), 0);
  const Tensor logits =
      fixture.model->forward(request.prompt, {{0, 200, 0, pages, AttentionForm::expanded}}, rows);
  const Tensor head = fixture.weights->weight("lm_head.weight");
  for (int64_t token = 0; token < 320; ++token) {
    double mean = 0, product = 0;
    for (int64_t row = 0; row < 200; ++row) mean += logits.row<float>(row)[token] / 200;
    for (int64_t i = 0; i < 32; ++i) product += double{head.row<float>(token)[i]} * embedding[i];
    EXPECT_NEAR(product, mean, 1e-5);
  }
}

// Cut into chunks, among others, preempted, and with pages that earlier requests left.
TEST(Engine, AnEmbeddingHasTheSameBitsInACrowd) {
  Fixture alone({.max_sequences = 4}, 2048, 256), crowd({.max_sequences = 4}, 6 * page_tokens, 20);
  std::map<uint64_t, uint64_t> ids;  // in the crowd, alone
  for (const uint64_t seed : {1, 2, 3, 2}) {
    Request request = request_of(static_cast<int64_t>(49 * seed), seed);
    request.embedding = true;
    crowd.submit(request_of(60, seed, 120));
    ids[crowd.submit(request)] = alone.submit(request);
    alone.run();
  }
  crowd.run();
  EXPECT_GT(crowd.engine->stats().preemptions, 0);
  EXPECT_EQ(crowd.engine->stats().pages_used, 0);
  for (const auto& [id, reference] : ids) {
    EXPECT_EQ(crowd.answer(id).embedding, alone.answer(reference).embedding);
    EXPECT_FALSE(crowd.answer(id).embedding.empty());
  }
}

// A grammar that wants two tokens in turn, then the end.
struct Alternating : TokenGrammar {
  const TokenMask& allowed() override {
    mask.assign(5, 0);
    const int32_t token = count == 6 ? *tokenizer().eos_id() : 100 + count % 2;
    mask[token / 64] = uint64_t{1} << (token % 64);
    return mask;
  }
  void accept(int32_t) override { ++count; }
  TokenMask mask;
  int32_t count = 0;
};

TEST(Engine, AGrammarDecidesWhatComes) {
  for (const int64_t drafts : {0, 3}) {
    EngineOptions options;
    options.draft_tokens = drafts;
    options.max_sequences = 2;
    Fixture fixture(options);
    Request request = request_of(10, 3);
    request.ignore_eos = false;
    request.grammar = std::make_shared<Alternating>();
    const uint64_t id = fixture.submit(request);
    fixture.run();
    EXPECT_EQ(fixture.answer(id).tokens, (std::vector<int32_t>{100, 101, 100, 101, 100, 101}));
    EXPECT_EQ(fixture.answer(id).finish, FinishReason::stop);
  }
}

// A grammar that breaks after some tokens.
struct Broken : TokenGrammar {
  const TokenMask& allowed() override {
    if (++count == 5) throw std::runtime_error("broken");
    return mask;
  }
  void accept(int32_t) override {}
  TokenMask mask = TokenMask(5, ~uint64_t{0});
  int count = 0;
};

TEST(Engine, WhatBreaksInOneRequestEndsItAlone) {
  Fixture fixture;
  Request broken = request_of(70, 1);
  broken.grammar = std::make_shared<Broken>();
  const uint64_t id = fixture.submit(broken), other = fixture.submit(request_of(30, 2));
  fixture.run();
  EXPECT_EQ(fixture.answer(id).finish, FinishReason::error);
  EXPECT_EQ(fixture.answer(id).error, "broken");
  EXPECT_EQ(fixture.answer(id).tokens.size(), 4u);
  EXPECT_EQ(fixture.answer(other).tokens, answer_alone(request_of(30, 2)));
  EXPECT_EQ(fixture.engine->stats().pages_used, 0);
}

TEST(Engine, ImpossibleRequestsAreErrors) {
  Fixture fixture;
  EXPECT_THROW(fixture.submit({}), Error);
  EXPECT_THROW(fixture.submit(request_of(512, 1)), Error);
  Request request = request_of(5, 1);
  request.prompt[2] = 320;
  EXPECT_THROW(fixture.submit(request), Error);
  request = request_of(5, 1);
  request.sampling.temperature = -1;
  EXPECT_THROW(fixture.submit(request), Error);
  BpeTrainer trainer({.vocab_size = 280});
  trainer.add("the whale and the sea, the whale and the ships in the sea");
  const Tokenizer smaller(trainer.train());  // than the model's embedding
  Engine padded(*fixture.model, smaller, {});
  request = request_of(5, 1);
  request.prompt[2] = smaller.vocab_size();
  EXPECT_THROW(padded.submit(request), Error);
  EngineOptions many;
  many.max_sequences = 1000;
  EXPECT_THROW(Engine(*fixture.model, tokenizer(), many), Error);
}

TEST(Engine, RequestsMayComeFromOtherThreads) {
  Fixture fixture;
  std::atomic<int> finished = 0;
  std::thread submitter([&] {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      Request request = request_of(20, seed, 5);
      request.on_tokens = [&](const TokenEvent& event) {
        finished += event.finish == FinishReason::length;
      };
      const uint64_t id = fixture.engine->submit(std::move(request));
      if (seed == 6) fixture.engine->cancel(id);
      fixture.engine->stats();
    }
  });
  while (finished < 5) fixture.engine->step();
  submitter.join();
  fixture.run();
  EXPECT_GE(finished, 5);
}

}  // namespace
}  // namespace minke
