#include "chat/conversation.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "chat/line_reader.h"
#include "chat/session.h"
#include "text/bpe_trainer.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer instance = [] {
    BpeTrainer trainer({.vocab_size = 320});
    for (int i = 0; i < 200; ++i) trainer.add("the whale and the sea " + std::to_string(i));
    return Tokenizer(trainer.train());
  }();
  return instance;
}

// A conversation with a model of random weights.
struct Fixture {
  explicit Fixture(std::optional<ChatTemplate> chat_template) {
    ModelConfig config;
    config.vocab_size = 320;
    config.hidden_size = config.intermediate_size = 32;
    config.moe_intermediate_size = 16;
    config.num_hidden_layers = 2;
    config.first_k_dense_replace = 1;
    config.num_attention_heads = 2;
    config.n_routed_experts = 4;
    config.num_experts_per_tok = 2;
    config.n_group = config.topk_group = 1;
    config.q_lora_rank = config.kv_lora_rank = 16;
    config.qk_nope_head_dim = config.v_head_dim = 8;
    config.qk_rope_head_dim = 4;
    config.max_position_embeddings = 512;
    Arena counting = Arena::counting();
    const Weights planned(config, counting, false);
    arena = Arena(counting.used());
    weights = std::make_unique<Weights>(config, arena, false);
    initialize_weights(*weights, 0.15, 5);
    source = std::make_unique<FlatSource>(*weights);
    LoadOptions options;
    options.quiet = true;
    model = std::make_unique<LoadedModel>(config, *source, options);
    EngineOptions engine_options;
    engine_options.max_sequences = 1;
    engine = std::make_unique<Engine>(*model, tokenizer(), engine_options);
    conversation = std::make_unique<Conversation>(*engine, tokenizer(), std::move(chat_template));
    conversation->settings().max_tokens = 20;
  }

  std::string ask(const std::string& text, int64_t stop_after = 1000) {
    std::string shown;
    int64_t pieces = 0;
    stats = conversation->ask(
        text, [&](const ChatDelta& delta) { shown += delta.text; },
        [&] { return ++pieces >= stop_after; });
    return shown;
  }

  Arena arena = Arena::counting();
  std::unique_ptr<Weights> weights;
  std::unique_ptr<FlatSource> source;
  std::unique_ptr<LoadedModel> model;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Conversation> conversation;
  AnswerStats stats;
};

TEST(Conversation, AnswersBecomeTurns) {
  Fixture fixture(ChatTemplate::named("deepseek_v31"));
  fixture.conversation->set_system("Be kind.");
  const std::string answer = fixture.ask("hello");
  const auto& messages = fixture.conversation->messages();
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].content, "Be kind.");
  EXPECT_EQ(messages[2].content, answer);
  EXPECT_GT(fixture.stats.tokens, 0);
  fixture.conversation->reset();
  EXPECT_EQ(messages.size(), 1u);
  fixture.conversation->set_system("");
  EXPECT_TRUE(messages.empty());
}

TEST(Conversation, ReasoningIsKeptApart) {
  Fixture fixture(ChatTemplate::named("deepseek_v31"));
  fixture.conversation->settings().thinking = true;
  const std::string shown = fixture.ask("hello");
  const ChatMessage& message = fixture.conversation->messages().back();
  EXPECT_EQ(message.reasoning_content + message.content, shown);
  EXPECT_FALSE(message.reasoning_content.empty());  // the prompt ends inside of <think>
}

TEST(Conversation, AStoppedAnswerStaysAsFarAsItCame) {
  Fixture fixture(ChatTemplate::named("deepseek_v31"));
  fixture.conversation->settings().max_tokens = 0;
  fixture.ask("hello", 5);
  EXPECT_EQ(fixture.stats.finish, FinishReason::cancelled);
  EXPECT_LT(fixture.stats.tokens, 10);
  EXPECT_EQ(fixture.conversation->messages().size(), 2u);
  EXPECT_EQ(fixture.engine->stats().running, 0);
  fixture.conversation->settings().max_tokens = 5;
  fixture.ask("again");
  EXPECT_EQ(fixture.conversation->messages().size(), 4u);
}

TEST(Conversation, EarlierTurnsComeFromThePrefixCache) {
  Fixture fixture(ChatTemplate::named("deepseek_v31"));
  fixture.ask(std::string(200, 'x'));
  EXPECT_EQ(fixture.stats.cached_tokens, 0);
  fixture.ask("more");
  EXPECT_GT(fixture.stats.cached_tokens, 0);
}

TEST(Conversation, AnErrorLeavesItAsItWas) {
  Fixture fixture(ChatTemplate::named("deepseek_v31"));
  fixture.ask("hello");
  EXPECT_THROW(fixture.ask(std::string(5000, '7')), Error);
  EXPECT_EQ(fixture.conversation->messages().size(), 2u);
}

TEST(Conversation, WithoutATemplateTheTextGoesOn) {
  Fixture fixture(std::nullopt);
  fixture.conversation->settings().sampling.temperature = 0;
  const std::string answer = fixture.ask("the whale");
  fixture.conversation->reset();
  EXPECT_EQ(fixture.ask("the whale"), answer);
  EXPECT_FALSE(fixture.conversation->can_think());
  fixture.conversation->reset();
  fixture.ask(std::string(special::eos));  // what a person writes is text
  EXPECT_GT(fixture.stats.prompt_tokens, 1);
}

TEST(Conversation, FilesAreChecked) {
  Fixture fixture(ChatTemplate::named("deepseek_v31"));
  fixture.ask("hello é");
  const std::string json = fixture.conversation->to_json();
  for (const char* bad : {"[]", "{\"messages\": 3}", "{\"messages\": [3]}",
                          "{\"messages\": [{\"role\": \"pirate\", \"content\": \"x\"}]}",
                          "{\"messages\": [{\"role\": \"user\", \"content\": 3}]}"})
    EXPECT_THROW(fixture.conversation->load_json(bad, "file"), Error) << bad;
  EXPECT_EQ(fixture.conversation->to_json(), json);
  fixture.conversation->reset();
  fixture.conversation->load_json(json, "file");
  EXPECT_EQ(fixture.conversation->to_json(), json);
}

TEST(Session, ReasoningIsDimmedOrHidden) {
  Fixture fixture(ChatTemplate::named("deepseek_v31"));
  std::string answers, notices;
  ChatSession session(*fixture.conversation,
                      {[&](std::string_view text) { answers += text; },
                       [&](std::string_view line) { notices += line; }, true},
                      true, [] { return false; });
  EXPECT_TRUE(session.handle("/set thinking on"));
  EXPECT_TRUE(session.handle("hello"));
  EXPECT_TRUE(answers.starts_with("\x1b[2m")) << answers;
  EXPECT_NE(answers.find("\x1b[0m"), std::string::npos) << answers;
  answers.clear();
  EXPECT_TRUE(session.handle("/set think hide"));
  EXPECT_TRUE(session.handle("/regenerate"));
  EXPECT_EQ(answers.find("\x1b"), std::string::npos) << answers;
  EXPECT_FALSE(session.failed()) << notices;
  EXPECT_TRUE(session.handle("/bogus"));
  EXPECT_TRUE(session.failed());
  EXPECT_FALSE(session.handle("/exit"));
}

TEST(LineReader, JoinsLinesThatGoOn) {
  std::istringstream input("one\ntwo\\\nthree\\\nfour\n\nlast\\");
  const auto reader = make_stream_reader(input);
  EXPECT_EQ(reader->read(), "one");
  EXPECT_EQ(reader->read(), "two\nthree\nfour");
  EXPECT_EQ(reader->read(), "");
  EXPECT_EQ(reader->read(), "last\n");
  EXPECT_EQ(reader->read(), std::nullopt);
}

}  // namespace
}  // namespace minke
