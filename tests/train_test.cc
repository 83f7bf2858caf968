// Whole training runs on a small corpus: the numerics contract, checkpoints, and what goes wrong.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <functional>

#include "base/files.h"
#include "base/folder_lock.h"
#include "base/random.h"
#include "base/threads.h"
#include "data/prepare.h"
#include "kernels/isa.h"
#include "ledger/ledger.h"
#include "model/checkpoint.h"
#include "model/score.h"
#include "train/run.h"
#include "train/trainer.h"

namespace minke {
namespace {

// A prepared data set of made-up sentences, and a place for runs.
class TrainTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = fs::temp_directory_path() / ("minke_train_" + std::to_string(::getpid()));
    fs::create_directories(folder);
    std::string text;
    Random random(1);
    for (int document = 0; document < 120; ++document) {
      text += "{\"text\": \"";
      for (int i = 0; i < 60; ++i) text += "word" + std::to_string(random.below(50)) + " and ";
      text += "\"}\n";
    }
    write_file(folder / "corpus.jsonl", text);
    PrepareOptions options;
    options.inputs = {folder / "corpus.jsonl"};
    options.tokenizer = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden" / "tokenizer_small";
    options.output = folder / "data";
    options.validation_fraction = 0.1;
    options.near_duplicates = 0;
    vocab_size = prepare_data(options).vocab_size;
  }
  static void TearDownTestSuite() { fs::remove_all(folder); }
  void TearDown() override {
    set_active_isa(isa_);
    set_thread_count(threads_);
  }

  static TrainConfig config(const std::string& run,
                            const std::vector<std::string>& overrides = {}) {
    return config_of(run, R"(moe_intermediate_size = 20
num_nextn_predict_layers = 1
first_k_dense_replace = 1
num_attention_heads = 3
n_routed_experts = 8
num_experts_per_tok = 2
n_group = 4
topk_group = 2
q_lora_rank = 18
kv_lora_rank = 16
qk_nope_head_dim = 12
qk_rope_head_dim = 6
v_head_dim = 10)",
                     overrides);
  }
  // Four query heads for each key head.
  static TrainConfig dense_config(const std::string& run, const std::string& type,
                                  const std::vector<std::string>& overrides = {}) {
    return config_of(run,
                     fmt::format("model_type = \"{}\"\nnum_attention_heads = 8\n"
                                 "num_key_value_heads = 2\nhead_dim = 10",
                                 type),
                     overrides);
  }
  // model: further keys of [model].
  static TrainConfig config_of(const std::string& run, const std::string& model,
                               const std::vector<std::string>& overrides) {
    const std::string toml = fmt::format(
        R"(total_tokens = 1280
output = "{}"
log_every_steps = 5
[model]
vocab_size = {}
hidden_size = 32
intermediate_size = 48
num_hidden_layers = 2
max_position_embeddings = 64
{}
[data]
path = "{}"
sequence_length = 16
[batch]
sequences = 4
micro_batch = 2
[optimizer]
learning_rate = 0.01
[validation]
max_tokens = 160
)",
        (folder / run).string(), vocab_size, model, (folder / "data").string());
    return parse_train_config(toml, "test recipe", overrides);
  }

  static std::vector<float> weights_of(const Trainer& trainer) {
    const Tensor& flat = trainer.weights().flat_weights();
    return {flat.as<float>(), flat.as<float>() + flat.size()};
  }
  static std::vector<float> train(const TrainConfig& config, int64_t steps) {
    const auto group = make_local_group();
    Trainer trainer(config, *group);
    for (int64_t i = 0; i < steps; ++i) trainer.step();
    return weights_of(trainer);
  }
  template <typename Action>
  static std::string error_of(Action&& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  // All but the scalar reference, which is no instruction set and slow.
  static std::vector<Isa> instruction_sets() {
    std::vector<Isa> sets = supported_isas();
    std::erase(sets, Isa::reference);
    return sets;
  }

  static inline fs::path folder;
  static inline int32_t vocab_size = 0;

 private:
  Isa isa_ = active_isa();
  int threads_ = thread_count();
};

TEST_F(TrainTest, SameBitsForOneTwoAndThreeThreads) {
  for (const Isa isa : instruction_sets()) {
    set_active_isa(isa);
    set_thread_count(1);
    const auto expected = train(config("threads"), 20);
    for (const int threads : {2, 3}) {
      set_thread_count(threads);
      EXPECT_EQ(train(config("threads"), 20), expected) << isa_name(isa) << " " << threads;
    }
  }
}

TEST_F(TrainTest, StoppedAtSevenAndResumedHasTheSameBits) {
  for (const Isa isa : instruction_sets())
    for (const std::string optimizer : {"adamw", "muon"}) {
      set_active_isa(isa);
      const TrainConfig c =
          config("resume", {"optimizer.kind=" + optimizer, "optimizer.moment_dtype=bf16",
                            "optimizer.ema_decay=0.9", "recompute=true"});
      const auto expected = train(c, 20);
      const auto group = make_local_group();
      {
        Trainer first(c, *group);
        for (int i = 0; i < 7; ++i) first.step();
        first.save();
      }
      EXPECT_TRUE(fs::exists(checkpoint_folder(c.output, 7) / "ema" / "model.safetensors"));
      Trainer second(c, *group);
      second.resume(*find_checkpoint(c.output));
      EXPECT_EQ(second.position().step, 7);
      while (second.position().step < 20) second.step();
      EXPECT_EQ(weights_of(second), expected) << isa_name(isa) << " " << optimizer;
      fs::remove_all(c.output);
    }
}

// The last micro-batch takes what is left, so a step has its sequences and no others.
TEST_F(TrainTest, ABatchNeedNotBeWholeMicroBatches) {
  const auto group = make_local_group();
  const auto step = [&](const std::string& micro_batch) {
    Trainer trainer(
        config("parts", {"compute=f32", "batch.sequences=3", "batch.micro_batch=" + micro_batch}),
        *group);
    const StepReport report = trainer.step();
    EXPECT_EQ(trainer.position().sequences, 3);
    return report;
  };
  const StepReport whole = step("3");
  for (const std::string micro_batch : {"1", "2", "8"}) {
    const StepReport parts = step(micro_batch);
    EXPECT_NEAR(parts.loss, whole.loss, 1e-6 * whole.loss) << micro_batch;
    EXPECT_NEAR(parts.gradient_norm, whole.gradient_norm, 1e-4 * whole.gradient_norm)
        << micro_batch;
    EXPECT_NEAR(parts.balance_loss, whole.balance_loss, 1e-6) << micro_batch;
    EXPECT_DOUBLE_EQ(parts.flops, whole.flops) << micro_batch;
  }
}

TEST_F(TrainTest, ModulesThatDoNotTrainCostNothing) {
  const auto group = make_local_group();
  Trainer with(config("with"), *group),
      without(config("without", {"balance.mtp_lambda=0"}), *group);
  const StepReport off = without.step();
  EXPECT_TRUE(off.mtp_loss.empty());
  EXPECT_DOUBLE_EQ(off.flops, 4 * 16 * without.trained().flops_per_token(16, false));
  EXPECT_LT(off.flops, with.step().flops);
}

TEST_F(TrainTest, DenseModelsTrainAndResumeWithTheSameBits) {
  for (const std::string type : {"llama", "qwen2", "qwen3"}) {
    const std::string tied = type == "llama" ? "true" : "false";
    const TrainConfig c = dense_config(
        "dense", type,
        {"model.tie_word_embeddings=" + tied, "recompute=true", "optimizer.kind=muon"});
    set_thread_count(1);
    const auto expected = train(c, 20);
    set_thread_count(3);
    const auto group = make_local_group();
    double first_loss = 0;
    {
      Trainer first(c, *group);
      first_loss = first.step().loss;
      while (first.position().step < 7) first.step();
      first.save();
    }
    Trainer second(c, *group);
    second.resume(*find_checkpoint(c.output));
    StepReport report;
    while (second.position().step < 20) report = second.step();
    EXPECT_EQ(weights_of(second), expected) << type;
    EXPECT_LT(report.loss, first_loss - 0.3) << type;
    fs::remove_all(c.output);
  }
}

// A dense model's files have its family's names, and reading them gives what was written.
TEST_F(TrainTest, DenseModelsAreStoredUnderTheirNames) {
  const TrainConfig c = dense_config("stored", "qwen2", {"compute=f32"});
  const auto group = make_local_group();
  Trainer trainer(c, *group);
  trainer.step();
  trainer.save();
  const fs::path model = checkpoint_folder(c.output, 1) / "model";
  const StoredModel stored = inspect_model(model);
  EXPECT_EQ(stored.config.model_type, ModelType::qwen2);
  EXPECT_EQ(read_file(model / "config.json").find("kv_lora_rank"), std::string::npos);
  Arena arena(1 << 20);
  const Weights weights(stored.config, arena, false);
  load_weights(model, weights);
  const Tensor& flat = weights.flat_weights();
  EXPECT_EQ(std::vector<float>(flat.as<float>(), flat.as<float>() + flat.size()),
            weights_of(trainer));
  const Tensor bias = weights.weight("model.layers.1.self_attn.v_proj.bias");
  EXPECT_EQ(bias.size(), 20);
  EXPECT_NE(bias.as<float>()[3], 0.0f);
}

TEST_F(TrainTest, LossFallsAndTheLedgerTellsTheCost) {
  const TrainConfig c = config("whole", {"total_tokens=6400", "validation.every_tokens=3200"});
  run_training(c, false);
  const Ledger ledger = load_ledger(c.output);
  EXPECT_EQ(ledger.steps, 100);
  EXPECT_EQ(ledger.tokens, 6400);
  EXPECT_GT(ledger.model_flops, 0);
  EXPECT_GT(ledger.cost(), 0);
  ASSERT_EQ(ledger.curve.size(), 2u);
  EXPECT_LT(*ledger.curve[1].bits_per_byte, *ledger.curve[0].bits_per_byte);
  EXPECT_LT(ledger.curve[1].train_loss, 5.0);  // ln of the vocabulary is 7
  EXPECT_EQ(ledger.weights_sha256.size(), 64u);

  const std::string again = error_of([&] { run_training(c, false); });
  EXPECT_NE(again.find("--resume"), std::string::npos) << again;

  // The model that the run left scores text in the context that it was trained on.
  LoadOptions options;
  options.max_tokens = 16;
  LoadedModel model(c.output, options);
  const auto tokens = model.tokenizer().encode("word1 and word2 and word3 and");
  EXPECT_GT(score_tokens(model, tokens).nats, 0);
}

// What a session that was killed cost is on the bill, whether it left a checkpoint or not.
TEST_F(TrainTest, TheBillHasTheSessionsBefore) {
  const TrainConfig c = config("killed");
  Ledger killed;
  killed.sessions = 1;
  killed.wall_seconds = 1000;
  killed.tokens = 640;
  killed.curve = {{10, 640, 900, 5.0, std::nullopt, 0.1}};
  fs::create_directories(c.output);
  write_file(fs::path(c.output) / "ledger.json", write_ledger(killed));
  run_training(c, true);
  const Ledger ledger = load_ledger(c.output);
  EXPECT_EQ(ledger.sessions, 2);
  EXPECT_GT(ledger.wall_seconds, 1000);
  EXPECT_EQ(ledger.tokens, 640 + 1280);
  ASSERT_EQ(ledger.curve.size(), 1u) << "the run passes step 10 again";
  EXPECT_EQ(ledger.curve[0].step, 20);
}

TEST_F(TrainTest, AFinishedRunKeepsItsCheckpoint) {
  const TrainConfig c = config("finished");
  run_training(c, false);
  const fs::path file = checkpoint_folder(c.output, 20) / "checksums.txt";
  const auto written = fs::last_write_time(file);
  const Ledger before = load_ledger(c.output);
  EXPECT_TRUE(before.finished);
  run_training(c, true);
  EXPECT_EQ(fs::last_write_time(file), written);
  const Ledger after = load_ledger(c.output);
  EXPECT_TRUE(after.finished);
  EXPECT_EQ(after.sessions, 2);
  EXPECT_EQ(after.tokens, before.tokens);
  EXPECT_EQ(after.weights_sha256, before.weights_sha256);
  EXPECT_EQ(after.curve.size(), before.curve.size());
}

TEST_F(TrainTest, OneProcessAtATimeTrainsInAFolder) {
  const TrainConfig c = config("locked");
  {
    const FolderLock lock(c.output, "a test");
    const std::string message = error_of([&] { run_training(c, true); });
    EXPECT_NE(message.find("is in use by a test, process"), std::string::npos) << message;
    EXPECT_FALSE(fs::exists(fs::path(c.output) / "metrics.jsonl"));
  }
  run_training(c, true);
}

TEST_F(TrainTest, DataWithoutValidationTrain) {
  PrepareOptions options;
  options.inputs = {folder / "corpus.jsonl"};
  options.tokenizer = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden" / "tokenizer_small";
  options.output = folder / "all";
  options.validation_fraction = 0;
  prepare_data(options);
  const TrainConfig c = config("all-train", {"data.path=" + options.output.string()});
  run_training(c, false);
  const Ledger ledger = load_ledger(c.output);
  EXPECT_TRUE(ledger.finished);
  ASSERT_EQ(ledger.curve.size(), 1u);
  EXPECT_FALSE(ledger.curve[0].bits_per_byte);
}

// Documents of three words, several to a sequence.
TEST_F(TrainTest, MaskedDocumentsAreAsIfEachStoodAlone) {
  std::string text;
  Random random(2);
  const auto word = [&] { return "word" + std::to_string(random.below(50)); };
  for (int document = 0; document < 300; ++document)
    text += "{\"text\": \"" + word() + " " + word() + " and " + word() + "\"}\n";
  write_file(folder / "short.jsonl", text);
  PrepareOptions options;
  options.inputs = {folder / "short.jsonl"};
  options.tokenizer = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden" / "tokenizer_small";
  options.output = folder / "short";
  options.validation_fraction = 0.1;
  options.near_duplicates = 0;
  prepare_data(options);

  constexpr int64_t rows = 48, sequences = 4;
  const auto recipe = [&](const std::string& mask) {
    return config("masked-" + mask, {"data.document_mask=" + mask, "data.sequence_length=48",
                                     "data.path=" + (folder / "short").string()});
  };
  const auto group = make_local_group();
  Trainer masked(recipe("true"), *group), plain(recipe("false"), *group);
  const int64_t window = masked.data().window();
  std::vector<int32_t> tokens(static_cast<size_t>(sequences * window));
  masked.data().read_sequences(0, sequences, tokens.data());
  double alone = 0, alone_mtp = 0;
  int64_t documents = 0;
  for (int64_t s = 0; s < sequences; ++s) {
    const std::span<const int32_t> sequence(tokens.data() + s * window,
                                            static_cast<size_t>(window));
    for (int64_t begin = 0, end; begin < rows; begin = end, ++documents) {
      end = begin + 1;
      while (end < rows && sequence[end - 1] != masked.data().index().eos_id) ++end;
      int64_t after = end;  // the document's end, which may lie behind the rows
      while (after < window && sequence[after - 1] != masked.data().index().eos_id) ++after;
      const auto tokens = sequence.subspan(begin, std::min(after + 1, window) - begin);
      CrossEntropy objective(0.0);
      const auto losses =
          masked.model().forward_backward({{end - begin, tokens}}, objective, {0.0, 0.3, 0.0, 0.0});
      alone += losses.main;
      alone_mtp += losses.mtp[0];
    }
  }
  EXPECT_GT(documents, 2 * sequences);
  const StepReport together = masked.step();
  EXPECT_NEAR(together.loss * rows * sequences, alone, 1e-9 * alone);
  EXPECT_NEAR(together.mtp_loss[0] * rows * sequences, alone_mtp, 1e-9 * alone_mtp);
  EXPECT_GT(std::abs(plain.step().loss * rows * sequences - alone), 1e-5 * alone);
}

TEST_F(TrainTest, DamagedCheckpointIsPassedOver) {
  const TrainConfig c = config("damaged");
  const auto group = make_local_group();
  Trainer trainer(c, *group);
  for (int i = 0; i < 2; ++i) {
    trainer.step();
    trainer.save();
  }
  const fs::path newest = checkpoint_folder(c.output, 2) / "trainer" / "state.safetensors";
  fs::resize_file(newest, fs::file_size(newest) - 100);
  EXPECT_EQ(*find_checkpoint(c.output), checkpoint_folder(c.output, 1));
  fs::remove(checkpoint_folder(c.output, 1) / "model" / "config.json");
  const std::string message = error_of([&] { find_checkpoint(c.output); });
  EXPECT_NE(message.find("damaged"), std::string::npos) << message;
}

// A damaged checkpoint of a later step must not drive out the one that was just written.
TEST_F(TrainTest, ADamagedCheckpointIsNotKeptForASoundOne) {
  const TrainConfig c = config("damaged-later", {"checkpoint.keep=1"});
  const auto group = make_local_group();
  Trainer trainer(c, *group);
  fs::create_directories(checkpoint_folder(c.output, 5));  // without checksums
  for (int i = 0; i < 2; ++i) {
    trainer.step();
    trainer.save();
  }
  EXPECT_EQ(find_checkpoint(c.output), checkpoint_folder(c.output, 2));
  EXPECT_FALSE(fs::exists(checkpoint_folder(c.output, 1)));
}

// Of a process that was killed while it saved; in a container it had this one's number.
TEST_F(TrainTest, UnfinishedCheckpointsGo) {
  const TrainConfig c = config("unfinished");
  const fs::path folder = fs::path(c.output) / "checkpoints";
  const fs::path left = folder / fmt::format("step-9.tmp-{}", ::getpid());
  fs::create_directories(left / "model");
  const auto group = make_local_group();
  Trainer trainer(c, *group);
  trainer.save();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(find_checkpoint(c.output), checkpoint_folder(c.output, 0));
}

TEST_F(TrainTest, OnlyTheLastCheckpointsAreKept) {
  const TrainConfig c = config("kept", {"checkpoint.keep=2"});
  const auto group = make_local_group();
  Trainer trainer(c, *group);
  for (int i = 0; i < 4; ++i) {
    trainer.step();
    trainer.save();
  }
  EXPECT_FALSE(fs::exists(checkpoint_folder(c.output, 2)));
  EXPECT_TRUE(fs::exists(checkpoint_folder(c.output, 3)));
  EXPECT_TRUE(fs::exists(checkpoint_folder(c.output, 4)));
}

TEST_F(TrainTest, NonFiniteLossStopsOrIsSkipped) {
  const auto group = make_local_group();
  TrainConfig c = config("explode");
  Trainer trainer(c, *group);
  trainer.weights().weight("model.norm.weight").as<float>()[0] = NAN;
  const std::string message = error_of([&] { trainer.step(); });
  EXPECT_NE(message.find("not finite"), std::string::npos) << message;
  EXPECT_NE(message.find("sequences 0 to 3"), std::string::npos) << message;

  c.on_non_finite = NonFiniteAction::skip;
  Trainer skipping(c, *group);
  float& broken = skipping.weights().weight("model.norm.weight").as<float>()[0];
  broken = NAN;
  EXPECT_TRUE(skipping.step().skipped);
  broken = 1.0f;
  EXPECT_FALSE(skipping.step().skipped);
  EXPECT_EQ(skipping.position().skipped, 1);
  EXPECT_EQ(skipping.position().step, 2);
  EXPECT_EQ(skipping.position().updates, 1);
}

TEST_F(TrainTest, VocabularyLargerThanTheEmbeddingIsAnError) {
  const TrainConfig c = config("small", {"model.vocab_size=300"});
  const auto group = make_local_group();
  const std::string message = error_of([&] { Trainer(c, *group); });
  EXPECT_NE(message.find("vocab_size"), std::string::npos) << message;
}

// Each damage to a model directory is one error that names it.
TEST_F(TrainTest, ModelDirectoriesThatAreNotWhole) {
  const TrainConfig c = config("model", {"model.num_nextn_predict_layers=0"});
  const auto group = make_local_group();
  Trainer trainer(c, *group);
  trainer.save();
  const fs::path model = checkpoint_folder(c.output, 0) / "model";
  const auto load_error = [&](const std::function<void(ModelConfig&)>& change) {
    const fs::path copy = folder / "changed";
    fs::remove_all(copy);
    fs::copy(model, copy);
    ModelConfig stored = load_model_config(copy);
    change(stored);
    write_file(copy / "config.json", write_model_config(stored));
    return error_of([&] { LoadedModel(copy, {}); });
  };
  EXPECT_EQ(load_error([](ModelConfig&) {}), "no error");
  const std::string shape = load_error([](ModelConfig& m) { m.intermediate_size = 50; });
  EXPECT_NE(shape.find("gate_proj"), std::string::npos) << shape;
  const std::string missing = load_error([](ModelConfig& m) { m.num_hidden_layers = 3; });
  EXPECT_NE(missing.find("model.layers.2."), std::string::npos) << missing;
  // A claimed MTP module without tensors is said and passed over, as other programs' files have
  // that.
  EXPECT_EQ(load_error([](ModelConfig& m) { m.num_nextn_predict_layers = 1; }), "no error");
  fs::resize_file(folder / "changed" / "model.safetensors", 1000);
  const std::string cut = error_of([&] { LoadedModel(folder / "changed", {}); });
  EXPECT_NE(cut.find("model.safetensors"), std::string::npos) << cut;
}

}  // namespace
}  // namespace minke
