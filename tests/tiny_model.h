#pragma once
// A fixture with a tiny DeepSeek-V3 that `minke train` has made of a few sentences: run/.

#include "program.h"

namespace minke {

// One step of training: what matters is that every kind of layer is there.
inline constexpr const char* tiny_recipe = R"(output = "run"
total_tokens = 64
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
max_position_embeddings = 512
[data]
path = "data"
sequence_length = 16
[batch]
sequences = 4
micro_batch = 4
[validation]
max_tokens = 16
)";

class TinyModelTest : public ProgramTest {
 protected:
  // train_options: what differs from the recipe.
  explicit TinyModelTest(const std::string& train_options = "") {
    fs::copy(fs::path(MINKE_SOURCE_DIR) / "tests/golden/tokenizer_small", folder_ / "tokenizer");
    std::string text;
    for (int i = 0; i < 40; ++i)
      text += fmt::format("{{\"text\": \"{} ships and {} whales in the sea, {} seen\"}}\n", i,
                          3 * i, i % 7);
    write_file(folder_ / "corpus.jsonl", text);
    write_file(folder_ / "recipe.toml", tiny_recipe);
    succeeds(
        "data prepare --input corpus.jsonl --tokenizer tokenizer --output data "
        "--validation-fraction 0.1 --near-duplicates off");
    succeeds("train recipe.toml " + train_options);
  }

  Outcome succeeds(const std::string& arguments) const {
    const Outcome outcome = run("--quiet --threads 1 " + arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    return outcome;
  }
  // The call ends with this code and says `message`.
  void fails(const std::string& arguments, int code, const std::string& message) const {
    const Outcome outcome = run("--quiet --threads 1 " + arguments);
    EXPECT_EQ(outcome.code, code) << arguments;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << arguments << "\n" << outcome.err;
  }
};

}  // namespace minke
