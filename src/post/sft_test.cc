// Fine-tuning: what the loss is on, that a tiny model learns a tiny set, and exact resuming.
#include "post/sft.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "model/checkpoint.h"
#include "text/bpe_trainer.h"

namespace minke {
namespace {

// A folder with a tiny random model, a tokenizer of bytes and some conversations.
class SftTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = fs::temp_directory_path() / ("minke_sft_" + std::to_string(::getpid()));
    fs::create_directories(folder / "model");
    BpeTrainer trainer({.vocab_size = 320});
    for (int i = 0; i < 200; ++i) trainer.add("the whale and the sea " + std::to_string(i));
    const TokenizerDefinition definition = trainer.train();
    write_tokenizer(definition, folder / "model");
    ModelConfig config = model_defaults(ModelType::qwen2);
    config.vocab_size = Tokenizer(definition).vocab_size();
    config.hidden_size = 32;
    config.intermediate_size = 48;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.num_key_value_heads = 2;
    config.head_dim = 8;
    config.max_position_embeddings = 64;
    resolve_model_config(config);
    Arena arena(1 << 22);
    const Weights weights(config, arena, false);
    initialize_weights(weights, 0.05, 3);
    save_weights(folder / "model", config, weights, DType::f32);
    std::string lines;
    for (const char* digit : {"1", "2", "3", "4", "5", "6"})
      lines += fmt::format("{{\"prompt\": \"{}+1=\", \"completion\": \"{}!\"}}\n", digit,
                           std::stoi(digit) + 1);
    write_file(folder / "sums.jsonl", lines);
  }
  static void TearDownTestSuite() { fs::remove_all(folder); }

  static SftConfig config(const std::string& run, const std::vector<std::string>& overrides = {}) {
    const std::string toml = fmt::format(
        "model = \"{0}/model\"\noutput = \"{0}/{1}\"\nepochs = 40\ncompute = \"f32\"\n"
        "[data]\ntrain = \"{0}/sums.jsonl\"\nvalidation = \"{0}/sums.jsonl\"\nmax_tokens = 32\n"
        "[batch]\ntokens = 24\nmicro_batch_tokens = 32\n"
        "[optimizer]\nlearning_rate = 0.01\nweight_decay = 0.0\n",
        folder.string(), run);
    return parse_sft_config(toml, "test recipe", overrides);
  }
  static std::vector<float> weights_of(const Training& training) {
    const Tensor& flat = training.trained().weights().flat_weights();
    return {flat.as<float>(), flat.as<float>() + flat.size()};
  }
  static Tokenizer tokenizer() { return Tokenizer::load(folder / "model"); }

  inline static fs::path folder;
};

// The text of the targets that have a loss; special tokens included.
std::string answers_of(const SftExample& example, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < example.weights.size(); ++i)
    if (example.weights[i] > 0) ids.push_back(example.tokens[i + 1]);
  return tokenizer.decode(ids);
}

TEST_F(SftTest, TheLossIsOnWhatTheAssistantWrote) {
  const Tokenizer t = tokenizer();
  const ChatTemplate chat = ChatTemplate::named("deepseek_v3");
  const std::string line =
      R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "What?"},
          {"role": "assistant", "content": "One."}, {"role": "user", "content": "And?"},
          {"role": "assistant", "content": "Two."}]})";
  const auto examples = parse_conversation(line, "here", t, &chat);
  ASSERT_EQ(examples.size(), 1);
  const std::string end(t.token_bytes(*t.eos_id()));
  EXPECT_EQ(answers_of(examples[0], t), "One." + end + "Two." + end);
  EXPECT_EQ(examples[0].answer_bytes, 8);

  const auto plain =
      parse_conversation(R"({"prompt": "1+1=", "completion": "2"})", "here", t, nullptr);
  ASSERT_EQ(plain.size(), 1);
  EXPECT_EQ(answers_of(plain[0], t), "2" + end);
}

TEST_F(SftTest, ReasoningThatTheTemplateDropsIsStillLearned) {
  const Tokenizer t = tokenizer();
  const ChatTemplate chat = ChatTemplate::named("deepseek_r1");
  const std::string line =
      R"({"messages": [{"role": "user", "content": "a"},
          {"role": "assistant", "reasoning_content": "first", "content": "b"},
          {"role": "user", "content": "c"},
          {"role": "assistant", "reasoning_content": "second", "content": "d"}]})";
  const auto examples = parse_conversation(line, "here", t, &chat);
  ASSERT_EQ(examples.size(), 2);
  EXPECT_NE(answers_of(examples[0], t).find("first"), std::string::npos);
  EXPECT_NE(answers_of(examples[1], t).find("second"), std::string::npos);
  EXPECT_EQ(t.decode(examples[1].tokens).find("first"), std::string::npos);
}

TEST_F(SftTest, BadLinesAreNamed) {
  const Tokenizer t = tokenizer();
  const ChatTemplate chat = ChatTemplate::named("deepseek_v3");
  for (const char* line : {"", "{", "[1]", "{}", R"({"messages": []})", R"({"messages": [1]})",
                           R"({"messages": [{"role": "user", "content": 3}]})",
                           R"({"messages": [{"role": "king", "content": "x"},
                               {"role": "assistant", "content": "y"}]})",
                           R"({"prompt": 1, "completion": "x"})"})
    EXPECT_THROW(parse_conversation(line, "here", t, &chat), Error) << line;
  EXPECT_THROW(
      parse_conversation(R"({"messages": [{"role": "user", "content": "x"}]})", "here", t, nullptr),
      Error);
  for (const char* files : {"nowhere.jsonl", "a.jsonl:x", "a.jsonl:0", ","})
    EXPECT_THROW(SftData(files, t, nullptr, 32, 1), Error) << files;
}

TEST_F(SftTest, SourcesAreTakenAsOftenAsTheirWeightsSay) {
  const Tokenizer t = tokenizer();
  write_file(folder / "other.jsonl", "{\"prompt\": \"x\", \"completion\": \"y\"}\n\n");
  const SftData data(fmt::format("{0}/sums.jsonl:0.5, {0}/other.jsonl:3", folder.string()), t,
                     nullptr, 32, 1);
  ASSERT_EQ(data.examples(), 7);
  int64_t sums = 0;
  for (uint64_t epoch = 0; epoch < 200; ++epoch) {
    const auto order = data.epoch(epoch);
    const auto others = std::count(order.begin(), order.end(), &data.all().back());
    EXPECT_EQ(others, 3);
    sums += static_cast<int64_t>(order.size()) - others;
    EXPECT_EQ(order, data.epoch(epoch));
  }
  EXPECT_NEAR(sums / 200.0, 3.0, 0.3);
  EXPECT_NE(data.epoch(0), data.epoch(1));
  EXPECT_THROW(SftData((folder / "sums.jsonl").string(), t, nullptr, 1, 1), Error);  // none fits
}

TEST_F(SftTest, PacksWholeConversations) {
  std::vector<SftExample> examples;
  for (const size_t rows : {5, 9, 3, 16, 1})
    examples.push_back({std::vector<int32_t>(rows + 1), std::vector<float>(rows, 1.0f), 0});
  std::vector<const SftExample*> batch;
  for (const SftExample& example : examples) batch.push_back(&example);
  const auto parts = micro_batches(batch, 16);
  std::vector<int64_t> rows;
  for (const TrainingBatch& part : parts) rows.push_back(batch_rows(part));
  EXPECT_EQ(rows, (std::vector<int64_t>{14, 3, 16, 1}));
}

TEST_F(SftTest, ATinyModelLearnsATinySet) {
  const auto group = make_local_group();
  SftTrainer trainer(config("learns"), *group);
  const double before = *trainer.validate();
  double loss = 0;
  while (!trainer.done()) loss = trainer.step().loss;
  EXPECT_GT(before, 2.0);
  EXPECT_LT(*trainer.validate(), 0.05);
  EXPECT_LT(loss, 0.2);
}

TEST_F(SftTest, ResumingChangesNoBit) {
  const SftConfig whole = config("whole", {"epochs=6"});
  const auto group = make_local_group();
  SftTrainer straight(whole, *group);
  while (!straight.done()) straight.step();

  SftTrainer first(whole, *group);
  for (int i = 0; i < 4; ++i) first.step();
  first.save();
  first.step();  // lost when the program dies
  SftTrainer second(whole, *group);
  second.resume(checkpoint_folder(folder / "whole", 4));
  while (!second.done()) second.step();
  EXPECT_EQ(weights_of(second), weights_of(straight));
  EXPECT_EQ(second.position().tokens, straight.position().tokens);
}

TEST_F(SftTest, AdaptersLearnATinySetAndResume) {
  const SftConfig c = config("lora", {"lora.rank=8", "epochs=60"});
  const auto group = make_local_group();
  SftTrainer straight(c, *group);
  const double before = *straight.validate();
  while (!straight.done()) straight.step();
  EXPECT_LT(*straight.validate(), before - 2.0);  // the random head stays, so it is never good

  SftTrainer first(c, *group);
  for (int i = 0; i < 4; ++i) first.step();
  first.save();
  EXPECT_TRUE(fs::exists(checkpoint_folder(folder / "lora", 4) / "adapter/adapter_config.json"));
  SftTrainer second(c, *group);
  second.resume(checkpoint_folder(folder / "lora", 4));
  while (!second.done()) second.step();
  EXPECT_EQ(weights_of(second), weights_of(straight));
}

TEST_F(SftTest, TheResultIsAModelWithItsTokenizer) {
  const SftConfig c = config("whole_run", {"epochs=1"});
  run_sft(c, false);
  const ModelSource source = ModelSource::open(folder / "whole_run");
  EXPECT_TRUE(source.has_tokenizer());
  EXPECT_EQ(source.tokenizer().encode("What"), tokenizer().encode("What"));
  EXPECT_TRUE(fs::exists(folder / "whole_run" / "ledger.json"));
  EXPECT_TRUE(fs::exists(folder / "whole_run" / "metrics.jsonl"));
  EXPECT_THROW(run_sft(c, false), Error);  // the folder holds a run
}

TEST_F(SftTest, RecipesSayWhatIsWrong) {
  EXPECT_THROW(config("x", {"model=nowhere", "data.train="}), Error);
  EXPECT_THROW(config("x", {"epochs=0"}), Error);
  EXPECT_THROW(config("x", {"batch.micro_batch_tokens=8"}), Error);
  EXPECT_THROW(config("x", {"nonsense=1"}), Error);
  EXPECT_THROW(config("x", {"lora.rank=2", "balance.bias_update_speed=0.1"}), Error);
  const SftConfig c = config("x");
  EXPECT_EQ(write_sft_config(parse_sft_config(write_sft_config(c), "again", {})),
            write_sft_config(c));
}

}  // namespace
}  // namespace minke
