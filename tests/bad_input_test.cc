// What goes wrong for a person: each bad input is one clear error on stderr, exits with 1 or 2, and
// destroys nothing.

#include <algorithm>
#include <cstring>
#include <functional>

#include "kernels/isa.h"
#include "ledger/ledger.h"
#include "program.h"

namespace minke {
namespace {

constexpr const char* recipe = R"(output = "run"
total_tokens = 640
[model]
vocab_size = 1000
hidden_size = 32
intermediate_size = 48
moe_intermediate_size = 16
num_hidden_layers = 2
first_k_dense_replace = 1
num_attention_heads = 2
n_routed_experts = 4
num_experts_per_tok = 2
n_group = 2
topk_group = 1
q_lora_rank = 16
kv_lora_rank = 16
qk_nope_head_dim = 8
qk_rope_head_dim = 8
v_head_dim = 8
max_position_embeddings = 32
[data]
path = "data"
sequence_length = 16
[batch]
sequences = 4
micro_batch = 4
[validation]
max_tokens = 64
)";

class BadInput : public ProgramTest {
 protected:
  BadInput() {
    fs::copy(fs::path(MINKE_SOURCE_DIR) / "tests/golden/tokenizer_small", folder_ / "tokenizer");
    std::string text;
    for (int i = 0; i < 60; ++i) {
      text += R"({"text": ")";
      for (int word = 0; word < 40; ++word) text += fmt::format("{} and ", i * word % 37);
      text += "\"}\n";
    }
    write_file(folder_ / "corpus.jsonl", text);
    write_file(folder_ / "recipe.toml", recipe);
  }

  // Data, and for those who ask a run of ten steps.
  void make_data() const {
    succeeds(
        "data prepare --input corpus.jsonl --tokenizer tokenizer --output data "
        "--validation-fraction 0.1 --near-duplicates off");
  }
  void make_run() const {
    make_data();
    succeeds("train recipe.toml");
  }
  fs::path checkpoint() const { return folder_ / "run/checkpoints/step-10"; }

  void succeeds(const std::string& arguments) const {
    const Outcome outcome = run("--quiet --threads 1 " + arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
  }
  // The call ends with this code and one line that begins with "error:" and contains `message`.
  void fails(const std::string& arguments, int code, const std::string& message) const {
    const Outcome outcome = run("--quiet --threads 1 " + arguments);
    EXPECT_EQ(outcome.code, code) << arguments;
    EXPECT_TRUE(outcome.err.starts_with("error: ")) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }

  void cut(const fs::path& file, int64_t bytes) const {
    fs::resize_file(file, fs::file_size(file) - bytes);
  }
  void replace(const fs::path& file, const std::string& from, const std::string& to) const {
    std::string content = read_file(file);
    const size_t at = content.find(from);
    ASSERT_NE(at, std::string::npos) << file << " has no " << from;
    write_file(file, content.replace(at, from.size(), to));
  }
};

TEST_F(BadInput, CorpusWithoutText) {
  fs::create_directory(folder_ / "empty");
  write_file(folder_ / "empty.txt", "");
  write_file(folder_ / "binary.txt", std::string("\0\1\2\377", 4));
  const std::string rest = " --tokenizer tokenizer --output data";
  fails("data prepare --input empty" + rest, 1, "the corpus is empty");
  fails("data prepare --input empty.txt" + rest, 1, "the corpus is empty");
  fails("data prepare --input binary.txt" + rest, 1, "binary.txt is not text");
  fails("data prepare --input nowhere" + rest, 1, "nowhere");
  fails("tokenizer train --vocab-size 300 --output new --input empty", 1, "the corpus is empty");
  fails("tokenizer train --vocab-size 300 --output new --input binary.txt", 1, "is not text");
  fails("tokenizer train --vocab-size 9999 --output new --input corpus.jsonl", 1, "too small");
  EXPECT_FALSE(fs::exists(folder_ / "data"));
  EXPECT_FALSE(fs::exists(folder_ / "new"));
}

TEST_F(BadInput, OutputThatIsSomethingElse) {
  fs::create_directory(folder_ / "texts");
  write_file(folder_ / "texts/a.txt", "some text");
  const std::string prepare = "data prepare --input texts --tokenizer tokenizer --output ";
  fails(prepare + "texts", 2, "texts is there already");
  fails(prepare + "corpus.jsonl", 2, "corpus.jsonl is there already");
  EXPECT_EQ(read_file(folder_ / "texts/a.txt"), "some text");
  make_data();
  const std::string corpus = read_file(folder_ / "corpus.jsonl");
  fails("train recipe.toml --set output=corpus.jsonl", 1, "corpus.jsonl");
  EXPECT_EQ(read_file(folder_ / "corpus.jsonl"), corpus);
}

TEST_F(BadInput, FilesThatAreMissingOrFolders) {
  make_data();
  fails("train nowhere.toml", 1, "nowhere.toml: No such file");
  fails("train data", 1, "data: it is a folder");
  fails("tokenizer encode tokenizer --file nowhere.txt", 1, "nowhere.txt: No such file");
  fails("tokenizer encode tokenizer --file data", 1, "data: it is a folder");
  fails("data prepare --input corpus.jsonl --tokenizer nowhere --output new", 1, "nowhere");
  fails("data inspect nowhere", 1, "nowhere");
  fails("train recipe.toml --set data.path=nowhere", 1, "nowhere");
  fails("generate nowhere -p text", 1, "nowhere is no model");
  fails("score data --text text", 1, "data is no model");
  fails("ledger nowhere", 1, "nowhere");
}

TEST_F(BadInput, DamagedShards) {
  make_data();
  const fs::path shard = folder_ / "data/train-00000.bin";
  std::string content = read_file(shard);
  cut(shard, 100);
  fails("train recipe.toml", 1, "train-00000.bin has");
  fails("data inspect data", 1, "cut short");
  fails("data inspect data --count 0", 2, "--count");
  fails("data inspect data --batch -1", 2, "--batch");
  content[200] ^= 1;
  write_file(shard, content);
  fails("train recipe.toml", 1, "checksum is wrong");
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(BadInput, Recipes) {
  make_data();
  replace(folder_ / "recipe.toml", "sequence_length", "sequence_lenght");
  fails("train recipe.toml", 2,
        "recipe.toml:23: unknown key 'data.sequence_lenght', did you mean 'data.sequence_length'?");
  write_file(folder_ / "recipe.toml", recipe);
  fails("train recipe.toml --set batch.sequnces=3", 2, "did you mean 'batch.sequences'?");
  fails("train recipe.toml --set batch.sequences", 2, "key=value");
  fails("train recipe.toml --set batch.sequences=many", 2, "expected an integer");
  fails("train recipe.toml --set model.n_group=3", 2, "multiple of n_group");
  fails("train recipe.toml --set model.vocab_size=500", 2, "500 embedding rows");
  fails("train recipe.toml --set data.sequence_length=64", 2, "max_position_embeddings");
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(BadInput, RunsAndCheckpoints) {
  make_run();
  const std::string weights = load_ledger(folder_ / "run").weights_sha256;
  fails("train recipe.toml", 2, "run already holds a run");
  fails("train recipe.toml --resume --set model.hidden_size=48", 1, "expected the shape");
  succeeds("train recipe.toml --resume");  // nothing is left to do
  EXPECT_EQ(load_ledger(folder_ / "run").weights_sha256, weights);
  EXPECT_EQ(load_ledger(folder_ / "run").curve.size(), 1u);
  cut(checkpoint() / "trainer/state.safetensors", 100);
  fails("train recipe.toml --resume", 1, "damaged");
  EXPECT_TRUE(fs::exists(checkpoint() / "model/model.safetensors"));
}

TEST_F(BadInput, Models) {
  make_run();
  const fs::path model = folder_ / "model";
  const auto damaged = [&](const std::function<void()>& damage, int code,
                           const std::string& message) {
    fs::remove_all(model);
    fs::copy(checkpoint() / "model", model);
    damage();
    fails("score model --text word", code, message);
    fails("generate model -p word --max-tokens 4", code, message);
  };
  const auto edit = [&](const char* file, const char* from, const char* to) {
    return [=, this] { replace(model / file, from, to); };
  };
  damaged(edit("model.safetensors", "layers.1.mlp.gate.weight", "layers.1.mlp.gate.weighT"), 1,
          "'model.layers.1.mlp.gate.weight' is missing");
  damaged(edit("config.json", "\"intermediate_size\": 48", "\"intermediate_size\": 64"), 1,
          "gate_proj.weight' is BF16 [48, 32], expected the shape [64, 32]");
  damaged([&] { cut(model / "model.safetensors", 1000); }, 1, "model.safetensors: cut short");
  damaged([&] { fs::resize_file(model / "model.safetensors", 4); }, 1, "not a safetensors file");
  damaged([&] { fs::remove(model / "model.safetensors"); }, 1, "no model.safetensors");
  damaged([&] { write_file(model / "config.json", "{"); }, 2, "config.json: not valid JSON");
  damaged([&] { fs::remove(model / "tokenizer.json"); }, 1, "tokenizer.json");
}

TEST_F(BadInput, Prompts) {
  make_run();
  fails("score run --ids 1,2,1000", 1, "token id 1000 at position 2");
  fails("score run --ids=-1,2", 1, "token id -1 at position 0");
  fails("score run --ids 1,x", 2, "--ids");
  fails("score run --text ''", 2, "empty");
  fails("generate run -p word --max-tokens 100", 2, "max_position_embeddings");
  fails("tokenizer decode tokenizer --ids 1,5000", 1, "5000");
}

TEST_F(BadInput, TokenizerLargerThanTheEmbedding) {
  const fs::path model = folder_ / "model";  // of 53 embedding rows
  fs::copy(fs::path(MINKE_SOURCE_DIR) / "tests/golden/models/v3", model);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(folder_ / "tokenizer" / file, model / file);
  fails("generate model -p word", 1, "the tokenizer has 1000 tokens, the model 53 embedding rows");
  fails("score model --text word", 1, "the tokenizer has 1000 tokens, the model 53 embedding rows");
}

TEST_F(BadInput, InstructionSetsAndThreads) {
  fs::copy(fs::path(MINKE_SOURCE_DIR) / "tests/golden/models/v3", folder_ / "model");
  const std::string score = "$minke --quiet score model --ids 1,2,3";
  const Outcome unknown = shell("MINKE_ISA=bogus " + score);
  EXPECT_EQ(unknown.code, 2);
  EXPECT_TRUE(unknown.err.starts_with("error: MINKE_ISA=bogus is not known")) << unknown.err;
  EXPECT_EQ(shell("MINKE_ISA=bogus $minke bench peak").code, 2);
  const Outcome slow = shell("MINKE_ISA=portable $minke tokenizer encode tokenizer --text a");
  EXPECT_EQ(slow.code, 0) << slow.err;
  EXPECT_NE(slow.err.find("computing with portable code, which is slow"), std::string::npos);
  const Outcome amx = shell("MINKE_ISA=amx " + score);
  const bool has_amx = supported_isas().back() == Isa::amx;
  EXPECT_EQ(amx.code, has_amx ? 0 : 2) << amx.err;
  EXPECT_EQ(amx.err.find("MINKE_ISA=amx cannot run here") == std::string::npos, has_amx) << amx.err;
  EXPECT_EQ(shell(score + " --threads 1").out, shell(score + " --threads 37").out);
}

// A small file system that is full, which root alone can make.
class FullDisk : public BadInput {
 protected:
  ~FullDisk() override {
    if (mounted_) shell("umount small");
  }
  void mount(int kilobytes) {
    fs::create_directory(folder_ / "small");
    mounted_ = shell(fmt::format("mount -t tmpfs -o size={}k tmpfs small", kilobytes)).code == 0;
  }

  bool mounted_ = false;
};

TEST_F(FullDisk, KeepsTheLastCheckpoint) {
  mount(2000);  // for one checkpoint, not for two
  if (!mounted_) GTEST_SKIP() << "a tmpfs cannot be mounted here; only root can";
  make_data();
  const std::string options = " --set output=small/run --set checkpoint.every_tokens=320";
  fails("train recipe.toml" + options, 1, "step-10.tmp");
  EXPECT_EQ(load_ledger(folder_ / "small/run").steps, 5);
  EXPECT_EQ(shell("cd small/run/checkpoints/step-5 && sha256sum --quiet -c checksums.txt").code, 0);
  EXPECT_EQ(shell("ls small/run/checkpoints").out, "step-5\n");
  ASSERT_EQ(shell("mount -o remount,size=9000k small").code, 0);
  succeeds("train recipe.toml --resume" + options);
}

TEST_F(FullDisk, LeavesNothingHalfWritten) {
  mount(32);
  if (!mounted_) GTEST_SKIP() << "a tmpfs cannot be mounted here; only root can";
  const std::string message = "No space left on device";
  fails("data prepare --input corpus.jsonl --tokenizer tokenizer --output small/data", 1, message);
  fs::copy(fs::path(MINKE_SOURCE_DIR) / "tests/golden/models/v3", folder_ / "model");
  std::string ids = "1";
  for (int i = 0; i < 250; ++i) ids += ",2";
  shell("head -c 10000 /dev/zero >small/fill");
  fails("score model --ids " + ids + " --logits small/logits.safetensors", 1, message);
  EXPECT_EQ(shell("ls small").out, "fill\n");
}

TEST_F(BadInput, InterruptionSavesAndResumingGivesTheSameWeights) {
  make_data();
  const std::string train = "train recipe.toml --set total_tokens=25600 --set log_every_steps=1";
  succeeds(train + " --set output=whole");
  const Outcome stopped = shell("$minke --threads 1 " + train +
                                " & until [ -s run/metrics.jsonl ]; do sleep 0.01; done; "
                                "kill -INT $!; wait $!");
  EXPECT_EQ(stopped.code, 0) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped at step"), std::string::npos) << stopped.err;
  EXPECT_LT(load_ledger(folder_ / "run").tokens, 25600);
  succeeds(train + " --resume");
  const Ledger whole = load_ledger(folder_ / "whole"), resumed = load_ledger(folder_ / "run");
  EXPECT_EQ(resumed.weights_sha256, whole.weights_sha256);
  EXPECT_EQ(resumed.tokens, whole.tokens);
}

}  // namespace
}  // namespace minke
