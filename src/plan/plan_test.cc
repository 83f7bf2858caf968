// Exact counts, DeepSeek's published bills, layouts and their errors.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "config/parameters.h"
#include "config/presets.h"
#include "plan/plan_tables.h"

namespace minke {
namespace {

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

ModelShape preset(const std::string& name) { return shape_of(model_preset(name)); }

TEST(ModelShape, PublishedParameterCounts) {
  const std::pair<const char*, int64_t> counts[] = {
      {"deepseek-v2-lite", 15706484224},    {"deepseek-v2", 235741434880},
      {"deepseek-v3", 671026419200},        {"deepseek-r1", 671026419200},
      {"r1-distill-qwen-1.5b", 1777088000}, {"r1-distill-qwen-7b", 7615616512},
      {"r1-distill-qwen-14b", 14770033664}, {"r1-distill-qwen-32b", 32763876352},
      {"r1-distill-llama-8b", 8030261248},  {"r1-distill-llama-70b", 70553706496},
      {"r1-0528-qwen3-8b", 8190735360}};
  for (const auto& [name, count] : counts) {
    EXPECT_EQ(preset(name).parameters(), count) << name;
    EXPECT_EQ(count_parameters(model_preset(name)), count) << name;
  }
  EXPECT_EQ(preset("deepseek-v3").mtp_parameters(), 11610068224);
  EXPECT_EQ(preset("deepseek-v3").layers.back().parameters(), 11507286272);
}

TEST(ModelShape, FollowsTheParameterListOfEveryPreset) {
  for (const std::string& name : preset_names()) {
    const ModelConfig model = model_preset(name);
    const ModelShape shape = shape_of(model);
    int64_t parameters = 0, active = 0;
    for (const PartCost& part : cost_by_part(shape, 4096)) {
      parameters += part.parameters;
      active += part.active;
    }
    EXPECT_EQ(parameters, shape.parameters()) << name;
    EXPECT_EQ(active, shape.active()) << name;
    EXPECT_EQ(shape.parameters(), count_parameters(model)) << name;
    EXPECT_EQ(shape.active(), count_active_parameters(model)) << name;
  }
}

TEST(ModelShape, ActiveParametersAndFlops) {
  EXPECT_NEAR(static_cast<double>(preset("deepseek-v3").active()), 37.552e9, 1e6);
  EXPECT_NEAR(static_cast<double>(preset("deepseek-v2").active()), 21.376e9, 1e6);
  EXPECT_NEAR(static_cast<double>(preset("deepseek-v2-lite").active()), 2.661e9, 1e6);
  const LayerShape layer = preset("deepseek-v3").layers.front();
  EXPECT_EQ(layer.pair_flops, 81920);
  EXPECT_EQ(layer.absorbed_pair_flops, 278528);
  // About 250 GFLOP of training a token at 4,096 tokens of context.
  EXPECT_NEAR(3 * preset("deepseek-v3").forward_flops(4096, false), 250e9, 2e9);
}

TEST(ModelShape, CacheBytes) {
  EXPECT_EQ(2 * preset("deepseek-v3").cache_elements(), 70272);
  EXPECT_EQ(2 * preset("deepseek-v2").cache_elements(), 69120);
  EXPECT_EQ(2 * preset("deepseek-v2-lite").cache_elements(), 31104);
}

TEST(Published, TrainingBillIsExact) {
  const TrainingBill bill;
  EXPECT_EQ(bill.pre_training_hours(), 2664e3);
  EXPECT_EQ(bill.hours(), 2788e3);
  EXPECT_EQ(bill.cost(), 5.576e6);
}

TEST(Published, DayIsExact) { EXPECT_EQ(published_day().cost(), 87072); }

TEST(Published, PredictionsAreWithinThirtyPercent) {
  EXPECT_NEAR(predicted_v3_training().device_hours / 2664e3, 1, 0.3);
  EXPECT_LE(predicted_v3_training().memory.total(), 80 * 0x1p30);
  const ServingPlan serving = predicted_v3_serving();
  EXPECT_NEAR(serving.mean_prefill_tokens / published_prefill_tokens, 1, 0.3);
  EXPECT_NEAR(serving.mean_decode_tokens / published_decode_tokens, 1, 0.3);
}

// The efficiencies are measurements of single kernels (docs/plan.md): products of DeepGEMM's table.
TEST(Roofline, MatchesDeepGemmsTable) {
  const Device h800{load_machine("h800"), Precision::fp8, 1.0};
  struct Entry {
    double rows, out, in, tflops;
  };
  for (const Entry& e : {Entry{4096, 24576, 1536, 990}, Entry{4096, 32768, 512, 590},
                         Entry{4096, 7168, 16384, 1358}, Entry{4096, 4096, 7168, 1304},
                         Entry{4096, 7168, 2048, 1025}, Entry{128, 7168, 16384, 645}}) {
    const double seconds = h800.product_seconds(e.rows, e.in, e.out);
    EXPECT_NEAR(2 * e.rows * e.in * e.out / seconds / 1e12 / e.tflops, 1, 0.12) << e.in;
  }
}

TEST(Roofline, DispatchAndCombineBytes) {
  EXPECT_EQ(dispatch_bytes(7168, Precision::fp8), 7392);
  EXPECT_EQ(combine_bytes(7168), 14336);
}

class LayoutTest : public testing::Test {
 protected:
  LayoutTest() {
    job_.devices = 2048;
    job_.precision = Precision::fp8;
  }
  std::string error(const Layout& layout) {
    return error_of([&] { plan_training(shape_, machine_, job_, layout); });
  }
  ModelShape shape_ = preset("deepseek-v3");
  MachineFile machine_ = load_machine("h800");
  TrainingJob job_;
};

TEST_F(LayoutTest, ImpossibleLayoutsSayWhatIsValid) {
  EXPECT_NE(error({64, 1, 1, false, {}}).find("from 1 to 61 stages"), std::string::npos);
  EXPECT_NE(error({3, 1, 1, false, {}}).find("multiple of the 3"), std::string::npos);
  EXPECT_NE(error({16, 3, 1, false, {}}).find("divisor"), std::string::npos);
  EXPECT_NE(error({16, 64, 7, false, {}}).find("multiple of 896"), std::string::npos);
  EXPECT_NE(error({16, 64, 8, true, Pipeline::dualpipe}).find("DualPipe"), std::string::npos);
  job_.devices = 1024;
  EXPECT_NE(error({2, 512, 1, false, {}}).find("256 routed experts"), std::string::npos);
  machine_ = load_machine("a100");
  EXPECT_NE(error({16, 64, 1, false, {}}).find("--precision bf16"), std::string::npos);
}

TEST_F(LayoutTest, SearchFindsThreeThatFit) {
  const TrainingSearch search = search_training(shape_, machine_, job_);
  ASSERT_EQ(search.best.size(), 3u);
  for (const TrainingPlan& plan : search.best) {
    EXPECT_LE(plan.memory.total(), 80 * 0x1p30);
    EXPECT_FALSE(plan.limit.empty());
    EXPECT_GE(plan.step_seconds, search.best.front().step_seconds);
  }
}

TEST_F(LayoutTest, TellsWhatWouldFit) {
  job_.devices = 8;
  const TrainingSearch search = search_training(shape_, machine_, job_);
  EXPECT_TRUE(search.best.empty());
  ASSERT_TRUE(search.smallest.has_value());
  EXPECT_TRUE(search.remedy.starts_with("--devices ")) << search.remedy;
}

TEST_F(LayoutTest, OneLayoutThatDoesNotFitSaysWhatWould) {
  job_.batch_sequences = 16384;
  const TrainingSearch search = judge_layout(shape_, machine_, job_, {1, 64, 1, false, {}});
  EXPECT_TRUE(search.best.empty());
  ASSERT_TRUE(search.smallest.has_value());
  EXPECT_EQ(search.remedy, "another layout of the same devices, without --pipeline");
  EXPECT_EQ(judge_layout(shape_, machine_, job_, {16, 64, 1, true, {}}).best.size(), 1u);
}

TEST(Calibration, NothingIsLearntFromADamagedFile) {
  const std::string folder = testing::TempDir() + fmt::format("minke-plan-{}", ::getpid());
  ::setenv("MINKE_CACHE", folder.c_str(), 1);
  store_calibration({"run", 1.5, 1.1, "", 1, 1}, 3);
  EXPECT_EQ(load_calibration(3).step_factor, 1.5);
  EXPECT_EQ(load_calibration(3).model, "");
  for (const char* text :
       {"", "[", "[1]", "{\"run\": 1}", "{\"run\": \"a\", \"step_factor\": -1}"}) {
    write_file(calibration_path(3), text);
    EXPECT_EQ(load_calibration(3).run, "") << text;
    EXPECT_EQ(load_calibration(3).step_factor, 1) << text;
  }
  fs::remove_all(folder);
}

TEST_F(LayoutTest, ShardingTheOptimizerSavesMemory) {
  const Layout layout{16, 64, 1, true, Pipeline::dualpipe};
  double before = 1e30;
  for (job_.zero_stage = 0; job_.zero_stage <= 3; ++job_.zero_stage) {
    const double bytes = plan_training(shape_, machine_, job_, layout).memory.total();
    EXPECT_LT(bytes, before) << job_.zero_stage;
    before = bytes;
  }
}

TEST(Machines, PresetsAreWhole) {
  const std::vector<std::string> names = machine_names();
  EXPECT_GE(names.size(), 10u);
  for (const std::string& name : names) EXPECT_GT(load_machine(name).spec.memory_gbps, 0) << name;
}

TEST(Machines, ErrorsListWhatIsValid) {
  EXPECT_NE(error_of([] { load_machine("h900"); }).find("h800"), std::string::npos);
  const std::string base = "name = \"x\"\nmemory_gib = 1\nmemory_gbps = 1\nf32_tflops = 1\n";
  EXPECT_EQ(error_of([&] { parse_machine(base + "price_per_hour = -1", "m.toml"); }),
            "m.toml:5: price_per_hour is -1, expected a number from 0 to 1000000");
  EXPECT_NE(error_of([&] { parse_machine(base + "wats = 1", "m.toml"); }).find("'watts'"),
            std::string::npos);
  EXPECT_NE(error_of([] { parse_machine("name = \"x\"", "m.toml"); }).find("memory_gib is missing"),
            std::string::npos);
}

TEST(Serving, ErrorsAndSearch) {
  const MachineFile machine = load_machine("h800");
  ServingJob job;
  job.precision = Precision::fp8;
  job.decode_experts = 7;
  EXPECT_NE(
      error_of([&] { plan_serving(preset("deepseek-v3"), machine, job); }).find("divisor of 256"),
      std::string::npos);
  job.decode_experts = 1;
  EXPECT_NE(error_of([&] { plan_serving(preset("deepseek-v3"), machine, job); }).find("do not fit"),
            std::string::npos);
  EXPECT_GT(search_serving(preset("deepseek-v3"), machine, job).decode_experts, 8);
  EXPECT_EQ(search_serving(preset("r1-distill-llama-8b"), machine, job).decode_experts, 1);
}

}  // namespace
}  // namespace minke
