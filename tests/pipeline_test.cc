// `minke run` and `minke report` through the program.

#include <nlohmann/json.hpp>
#include <thread>

#include "tiny_model.h"

namespace minke {
namespace {

constexpr const char* pipeline = R"(name = "two"
output = "all"
[[stage]]
name = "text"
command = "data tasks {recipe} --out {output}/text.jsonl --json"
[stage.recipe.text]
samples = 60
[[stage]]
name = "data"
command = "data prepare --input {output}/text.jsonl --tokenizer tokenizer --output {data} --parse-special --near-duplicates off --validation-fraction 0.2"
[[stage]]
name = "more"
command = "train"
[stage.recipe]
total_tokens = 128
model.path = "run"
model.weights = true
data.path = "{data}"
data.sequence_length = 16
data.document_mask = true
batch.sequences = 4
batch.micro_batch = 4
[[stage]]
name = "rl"
command = "grpo"
[stage.recipe]
model = "{more}"
steps = 2
rollout.prompts = 2
rollout.group = 4
rollout.max_tokens = 8
update.micro_batch_tokens = 128
evaluation.problems = 4
task.families = "addition"
)";

class PipelineTest : public TinyModelTest {
 protected:
  PipelineTest() { write_file(folder_ / "all.toml", pipeline); }

  nlohmann::json stages() const {
    return nlohmann::json::parse(read_file(folder_ / "all" / "stages.json"))["stages"];
  }
};

TEST_F(PipelineTest, StagesRunOnceAndAreReported) {
  succeeds("run all.toml");
  const auto done = stages();
  ASSERT_EQ(done.size(), 4u);
  for (const auto& stage : done) {
    EXPECT_TRUE(stage["finished"].get<bool>()) << stage;
    EXPECT_GT(stage["cost"].get<double>(), 0.0);
  }
  const std::string page = read_file(folder_ / "all" / "report.html");
  for (const char* text :
       {"Held-out problems", "Stages and what they cost", "held_out_problems_in_text",
        "Learning from text", "In the text of stage text 0 of ",
        "Of the documents of stage data 100 % are that text."})
    EXPECT_NE(page.find(text), std::string::npos) << text;
  EXPECT_NE(read_file(folder_ / "all" / "report.md").find("report-plots/plot-1.svg"),
            std::string::npos);
  const auto written = fs::last_write_time(folder_ / "all" / "more" / "ledger.json");
  succeeds("run all.toml");  // nothing is left to do
  EXPECT_EQ(fs::last_write_time(folder_ / "all" / "more" / "ledger.json"), written);
  EXPECT_EQ(stages(), done);
  fails("run all.toml --set more.total_tokens=256", 2, "stage more of all was run with another");
  EXPECT_NE(succeeds("report all/rl").out.find("all/rl/report.html"), std::string::npos);
  fails("report .", 1, "neither a run");
}

TEST_F(PipelineTest, AStageThatFailsEndsTheRun) {
  fails("run all.toml --set more.data.path=nothing", 1, "stage more ended with code");
  EXPECT_FALSE(stages().back()["finished"].get<bool>());
  EXPECT_EQ(stages().size(), 3u);
}

// The stage of a run that was killed lives on: nothing may train into its folder beside it.
TEST_F(PipelineTest, AFolderInUseIsLeftAlone) {
  const std::string call = "$minke --quiet run all.toml --set rl.steps=100000";
  const Outcome outcome =
      shell(call +
            " & p=$!; while [ ! -s all/rl/metrics.jsonl ] && kill -0 $p; do sleep 0.02; done; "
            "kill -9 $p; wait $p; " +
            call +
            "; echo code $?; "
            "kill -9 $(sed 's/.*process //' all/lock); sleep 0.2; "
            "timeout -s TERM 5 " +
            call + "; true");
  EXPECT_NE(outcome.out.find("code 1"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.err.find("all is in use by `minke run`, process "), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find(", stage rl, process "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("stopped in stage rl"), std::string::npos) << outcome.err;
}

// Continued pre-training begins with the weights, and refuses token ids of another vocabulary.
TEST_F(PipelineTest, TrainingGoesOnFromWeights) {
  succeeds(
      "train recipe.toml --set output=same --set model.path=run --set model.weights=true "
      "--set optimizer.learning_rate=0 --set balance.bias_update_speed=0");
  EXPECT_EQ(read_file(folder_ / "same/checkpoints/step-1/model/model.safetensors"),
            read_file(folder_ / "run/checkpoints/step-1/model/model.safetensors"));
  succeeds("tokenizer train --input corpus.jsonl --vocab-size 300 --output other");
  succeeds(
      "data prepare --input corpus.jsonl --tokenizer other --output other-data "
      "--validation-fraction 0.1 --near-duplicates off");
  fails(
      "train recipe.toml --set output=no --set model.path=run --set model.weights=true "
      "--set data.path=other-data",
      2, "another tokenizer");
  fails("train recipe.toml --set output=no --set model.weights=true", 2, "no model.path");
}

}  // namespace
}  // namespace minke
