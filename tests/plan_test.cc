// The planner's arithmetic against what the trainer's arenas count in a dry run, and `minke plan`.

#include <cmath>

#include "base/threads.h"
#include "plan/local_plan.h"
#include "program.h"
#include "train/trainer.h"

namespace minke {
namespace {

class PlanTest : public ProgramTest {};

TrainConfig recipe(const std::string& preset, const std::vector<std::string>& overrides) {
  return parse_train_config(fmt::format("total_tokens = 1000000\n[model]\npreset = \"{}\"\n"
                                        "[data]\npath = \"none\"\n",
                                        preset),
                            "test recipe", overrides);
}

TEST_F(PlanTest, MemoryIsWhatTheArenasCount) {
  const std::vector<std::vector<std::string>> variants = {
      {},
      {"compute=f32"},
      {"recompute=true", "data.sequence_length=512", "batch.micro_batch=3"},
      {"optimizer.kind=muon", "optimizer.ema_decay=0.999"},
      {"model.q_lora_rank=0", "optimizer.moment_dtype=bf16"},
      {"model.num_nextn_predict_layers=2", "batch.micro_batch=1"},
      {"model.n_routed_experts=0", "model.vocab_size=1000"},
      {"model.n_shared_experts=0", "model.tie_word_embeddings=true", "recompute=true"}};
  std::vector<std::pair<std::string, std::vector<std::string>>> cases;
  for (const char* preset : {"12m", "107m"})
    for (const auto& overrides : variants) cases.emplace_back(preset, overrides);
  const std::string small = "model.num_hidden_layers=3";
  cases.insert(cases.end(), {{"r1-distill-qwen-1.5b", {small, "recompute=true"}},
                             {"r1-distill-llama-8b",
                              {small, "model.attention_bias=true", "model.mlp_bias=true"}},
                             {"r1-0528-qwen3-8b", {small}},
                             {"r1-0528-qwen3-8b", {small, "recompute=true", "compute=f32"}}});
  for (const auto& [preset, overrides] : cases) {
    const TrainConfig config = recipe(preset, overrides);
    const MemoryPlan counted = Trainer::plan_memory(config);
    const LocalMemory planned = local_memory(config, thread_count());
    const std::string what = preset + (overrides.empty() ? "" : " " + overrides.back());
    const auto close = [&](int64_t plan, int64_t count) {
      return std::abs(static_cast<double>(plan - count)) <= 0.02 * static_cast<double>(count);
    };
    EXPECT_TRUE(close(planned.weights, counted.weights)) << what;
    EXPECT_TRUE(close(planned.optimizer, counted.optimizer))
        << what << " " << planned.optimizer << " " << counted.optimizer;
    EXPECT_TRUE(close(planned.packed + planned.activations, counted.model))
        << what << " " << planned.packed + planned.activations << " " << counted.model;
  }
}

TEST_F(PlanTest, PrintsTablesJsonAndPages) {
  const std::string page = (folder_ / "plan.html").string();
  const Outcome table = run("plan deepseek-v3 --machine h800 --devices 2048 --html " + page);
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("671,026,419,200"), std::string::npos);
  EXPECT_NE(read_file(page).find("</svg>"), std::string::npos);
  const Outcome json = run("plan --published --json");
  EXPECT_NE(json.out.find("\"total_cost\": 5576000.0"), std::string::npos) << json.out;
  EXPECT_NE(json.out.find("\"day_cost\": 87072.0"), std::string::npos);
}

TEST_F(PlanTest, WrongCallsSayWhatIsValid) {
  const auto error = [&](const std::string& call) {
    const Outcome outcome = run(call);
    EXPECT_EQ(outcome.code, 2) << call;
    EXPECT_EQ(outcome.out, "") << call;
    return outcome.err;
  };
  EXPECT_NE(error("plan deepseek-v9").find("deepseek-v3"), std::string::npos);
  EXPECT_NE(error("plan deepseek-v3 --machine h900").find("h800"), std::string::npos);
  EXPECT_NE(error("plan deepseek-v3 --machine h800 --price -1").find("--price"), std::string::npos);
  EXPECT_NE(error("plan deepseek-v3 --machine h800 --devices 64 --pipeline 128").find("61 layers"),
            std::string::npos);
  error("plan");
}

}  // namespace
}  // namespace minke
