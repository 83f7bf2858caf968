// Runs of reinforcement learning and distillation through the program, killed at moments that
// nothing prepares them for.
#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "ledger/metrics.h"
#include "tiny_model.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// Of a model that has seen enough to end its sentences.
class PostTraining : public TinyModelTest {
 protected:
  PostTraining() : TinyModelTest("--set total_tokens=8000") {}
  void write_recipe(const std::string& name, const std::string& text) const {
    write_file(folder_ / name, text);
  }
  // Starts the call with --resume and kills it some milliseconds after the file has so many lines.
  void kill_at(const std::string& arguments, const std::string& file, int64_t lines,
               uint64_t milliseconds) const {
    const Outcome outcome = shell(fmt::format(
        "$minke --quiet --threads 1 {} --resume & p=$!; "
        "while kill -0 $p && [ \"$(cat {} 2>/dev/null | wc -l)\" -lt {} ]; do sleep 0.005; done; "
        "sleep 0.{:03}; kill -9 $p && echo alive; wait $p; true",
        arguments, file, lines, milliseconds));
    EXPECT_EQ(outcome.out, "alive\n") << file << " line " << lines << "\n" << outcome.err;
  }
  int64_t lines_of(const std::string& name) const {
    std::ifstream file(folder_ / name);
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  }
  std::string weights_of(const std::string& run, int64_t step) const {
    return read_file(folder_ / run /
                     fmt::format("checkpoints/step-{}/trainer/state.safetensors", step));
  }
};

// The judge notes what it is asked. A verdict of the run so far comes from its journal.
constexpr const char* judge = R"(while read -r line; do
  echo "$line" >>"$1"
  echo "{\"reward\": $((${#line} % 7))}"
done
)";

TEST_F(PostTraining, AGrpoRunThatIsKilledEndsWithTheSameWeights) {
  write_file(folder_ / "judge.sh", judge);
  write_recipe("grpo.toml", R"(
model = "run"
steps = 12
[rollout]
prompts = 3
group = 4
max_prompt_tokens = 16
max_tokens = 12
sequences = 12
[update]
minibatches = 2
micro_batch_tokens = 64
[loss]
kl_coefficient = 0.02
reference_every_steps = 5
[evaluation]
every_steps = 6
problems = 2
[checkpoint]
every_steps = 2
[reward]
check = "command"
command_seconds = 60
)");
  const auto call = [](const std::string& run) {
    return fmt::format(
        "grpo grpo.toml --set output={0} --set 'reward.command=sh judge.sh {0}.asked'", run);
  };
  succeeds(call("whole"));
  Random random(1);
  const std::vector<int64_t> moments = {1, 5, 6, 8, 11};  // once before its first checkpoint
  fs::create_directories(folder_ / "killed/checkpoints/step-2.tmp-999999999");
  for (const int64_t lines : moments)
    kill_at(call("killed"), "killed/metrics.jsonl", lines, random.below(50));
  succeeds(call("killed") + " --resume");
  EXPECT_EQ(weights_of("killed", 12), weights_of("whole", 12));
  for (const auto& entry : fs::directory_iterator(folder_ / "killed/checkpoints"))
    EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();

  // A kill costs the verdict that was under way.
  EXPECT_GT(lines_of("whole.asked"), 12 * 12);
  EXPECT_LE(lines_of("killed.asked"), lines_of("whole.asked") + std::ssize(moments));
}

// A judge that crashes, talks nonsense or hangs is counted and its samples are logged, and training
// goes on; or it stops, as the recipe says.
TEST_F(PostTraining, AJudgeThatFailsDoesNotEndTheRunUnlessAsked) {
  write_recipe("grpo.toml", R"(
model = "run"
steps = 2
[rollout]
prompts = 1
group = 2
max_prompt_tokens = 16
max_tokens = 6
[update]
micro_batch_tokens = 64
[evaluation]
problems = 1
[reward]
check = "command"
command_seconds = 0.2
failure_log = "failures.jsonl"
)");
  const char* commands[] = {"exit 1", "echo garbage; cat", "sleep 60", "kill -9 $$"};
  for (const char* command : commands) {
    fs::remove(folder_ / "failures.jsonl");
    fs::remove_all(folder_ / "judged");
    const std::string call =
        fmt::format("grpo grpo.toml --set output=judged --set 'reward.command={}'", command);
    succeeds(call);
    int64_t failures = 0;  // of the steps, and of the tests
    for (const Json& line : read_metrics(folder_ / "judged/metrics.jsonl")) {
      failures += line.value("judge_failures", int64_t{0});
      for (const char* part : {"held_out", "greedy"})
        if (line.contains(part)) failures += line[part]["judge_failures"].get<int64_t>();
    }
    EXPECT_EQ(failures, 2 * 2 + 2 * 2) << command;
    EXPECT_EQ(lines_of("failures.jsonl"), failures) << command;
    fs::remove_all(folder_ / "judged");
    fails(call + " --set reward.on_failure=stop", 1, "reward of addition/");
  }
}

TEST_F(PostTraining, ADistillationThatIsKilledEndsWithTheSameWeights) {
  write_file(folder_ / "judge.sh", judge);
  write_recipe("distill.toml", R"(
model = "run"
[teacher]
model = "run"
[samples]
problems = 12
per_problem = 4
max_prompt_tokens = 16
max_tokens = 60
temperature = 1.0
sequences = 4
[sft]
epochs = 8
max_tokens = 80
batch_tokens = 80
micro_batch_tokens = 80
[rollout]
max_prompt_tokens = 16
max_tokens = 12
sequences = 4
[evaluation]
problems = 2
[checkpoint]
every_steps = 2
[reward]
check = "command"
command = "sh judge.sh asked"
command_seconds = 60
)");
  const auto call = [](const std::string& run) {
    return "distill distill.toml --set output=" + run;
  };
  succeeds(call("whole"));
  Random random(2);
  for (const int64_t lines : {0, 7, 20, 40})
    kill_at(call("killed"), "killed/teacher.jsonl", lines, random.below(20));
  for (const int64_t lines : {1, 4, 6})
    kill_at(call("killed"), "killed/metrics.jsonl", lines, random.below(20));
  succeeds(call("killed") + " --resume");
  EXPECT_EQ(read_file(folder_ / "killed/samples.jsonl"),
            read_file(folder_ / "whole/samples.jsonl"));
  const auto last = [&](const char* run) {
    int64_t step = 0;
    for (const auto& entry : fs::directory_iterator(folder_ / run / "checkpoints"))
      step = std::max<int64_t>(step, std::stoll(entry.path().filename().string().substr(5)));
    return step;
  };
  ASSERT_GT(last("whole"), 4);
  ASSERT_EQ(last("killed"), last("whole"));
  EXPECT_EQ(weights_of("killed", last("killed")), weights_of("whole", last("whole")));
}

TEST_F(PostTraining, DistillSaysWhatIsWrong) {
  write_recipe("distill.toml", "model = \"run\"\n[teacher]\nmodel = \"nowhere\"\n");
  fails("distill distill.toml", 1, "nowhere");
  fails("distill distill.toml --set teacher.modl=x", 2, "did you mean 'teacher.model'");
  fails("distill missing.toml", 1, "missing.toml");
  write_recipe("empty.toml", "");
  fails("distill empty.toml", 2, "model is missing");
}

}  // namespace
}  // namespace minke
