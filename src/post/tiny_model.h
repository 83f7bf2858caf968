#pragma once
// A small DeepSeek model with random weights and a tokenizer, on disk; for tests.

#include <unistd.h>

#include "base/files.h"
#include "model/checkpoint.h"
#include "text/bpe_trainer.h"

namespace minke {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.vocab_size = 320;
  config.hidden_size = 32;
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
  config.max_position_embeddings = 256;
  return config;
}

// A folder of its own for each process, removed at the end.
class TinyModel {
 public:
  explicit TinyModel(const std::string& name, double range = 0.1)
      : folder_(fs::temp_directory_path() / fmt::format("minke-{}-{}", name, getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(model());
    const ModelConfig config = tiny_config();
    Arena counting = Arena::counting();
    const Weights planned(config, counting, false);
    Arena arena(counting.used());
    const Weights weights(config, arena, false);
    initialize_weights(weights, range, 5);
    save_weights(model(), config, weights, DType::f32);
    BpeTrainer trainer({.vocab_size = 300});
    trainer.add("the whale and the sea and the ship and the storm and the captain of the ship");
    write_tokenizer(trainer.train(), model());
  }
  ~TinyModel() { fs::remove_all(folder_); }
  TinyModel(const TinyModel&) = delete;
  TinyModel& operator=(const TinyModel&) = delete;

  fs::path model() const { return folder_ / "model"; }
  fs::path run(const std::string& name) const { return folder_ / name; }

 private:
  fs::path folder_;
};

}  // namespace minke
