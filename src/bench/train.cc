#include "bench/train.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/files.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/threads.h"
#include "comm/group.h"
#include "config/presets.h"
#include "data/shard.h"
#include "kernels/isa.h"
#include "kernels/peak.h"
#include "plan/flops.h"
#include "train/profile.h"
#include "train/trainer.h"

namespace minke {
namespace {

constexpr int64_t sequences = 8, sequence_length = 256;
constexpr int warm_up_steps = 2;

// A prepared data set of random tokens, so that a step is what `minke train` does. Deleted at the
// end.
class RandomData {
 public:
  explicit RandomData(int64_t vocab_size)
      : folder_(fs::temp_directory_path() / fmt::format("minke-bench-train-{}", ::getpid())) {
    fs::create_directories(folder_);
    DatasetIndex index;
    index.vocab_size = static_cast<int32_t>(vocab_size);
    index.token_bytes.assign(static_cast<size_t>(vocab_size), 1);
    Random random(1);
    index.train = write_split("train", 1 << 18, random, vocab_size);
    index.validation = write_split("validation", 1 << 10, random, vocab_size);
    write_index(index, folder_);
  }
  ~RandomData() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  RandomData(const RandomData&) = delete;
  RandomData& operator=(const RandomData&) = delete;

  const fs::path& folder() const { return folder_; }

 private:
  SplitEntry write_split(const char* name, int64_t tokens, Random& random,
                         int64_t vocab_size) const {
    std::vector<int32_t> document(static_cast<size_t>(tokens));
    for (int32_t& token : document)
      token = static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size)));
    ShardWriter writer(folder_, name, 2, tokens);
    writer.add(document, tokens);
    return writer.finish();
  }

  fs::path folder_;
};

TrainConfig make_config(const std::string& preset, const RandomData& data) {
  TrainConfig config;
  config.model = model_preset(preset);
  config.total_tokens = int64_t{1} << 40;
  config.data.path = data.folder().string();
  config.data.sequence_length = sequence_length;
  config.batch.sequences = config.batch.micro_batch = sequences;
  config.balance.sequence_balance_alpha = 0;  // the peer has no such loss
  return config;
}

struct Result {
  double best, median;  // seconds of a step
  double loss;          // of the last one, nats per token
};

Result measure(Trainer& trainer, int steps, StepProfile* profile) {
  std::vector<double> seconds;
  double loss = 0;
  for (int step = -warm_up_steps; step < steps; ++step) {
    const double start = now_seconds();
    if (profile && step >= 0) profile->begin_step();
    loss = trainer.step().loss;
    const double taken = now_seconds() - start;
    if (profile && step >= 0) profile->end_step(taken);
    if (step >= 0) seconds.push_back(taken);
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2], loss};
}

}  // namespace

void bench_train(const std::string& preset, int steps, bool json, bool profiling) {
  const ModelConfig model = model_preset(preset);
  const RandomData data(model.vocab_size);
  const auto group = make_local_group();
  Trainer trainer(make_config(preset, data), *group);
  StepProfile profile;
  const Result result = measure(trainer, steps, profiling ? &profile : nullptr);

  constexpr double tokens = sequences * sequence_length;
  const double peak = measured_flops(measured_peaks(), DType::bf16);
  const double rate = tokens * training_flops_per_token(model, sequence_length) / result.best;
  if (json) {
    nlohmann::ordered_json line = {{"cpu", machine().cpu_name},
                                   {"threads", thread_count()},
                                   {"isa", isa_name(active_isa())},
                                   {"preset", preset},
                                   {"parameters", count_parameters(model)},
                                   {"steps", steps},
                                   {"best_seconds", result.best},
                                   {"median_seconds", result.median},
                                   {"tokens_per_second", tokens / result.best},
                                   {"model_flops", rate},
                                   {"peak_flops", peak},
                                   {"peak_fraction", rate / peak},
                                   {"loss", result.loss}};
    if (profiling) line["profile"] = profile.json(measured_peaks());
    fmt::print("{}\n", line.dump());
    return;
  }
  fmt::print("{}, {} threads, bf16 on {}\n", machine().cpu_name, thread_count(),
             isa_name(active_isa()));
  fmt::print("{}: {:.1f} M parameters, best of {} steps {:.3f} s, median {:.3f} s\n", preset,
             static_cast<double>(count_parameters(model)) / 1e6, steps, result.best, result.median);
  fmt::print("{:.0f} tokens/s, {:.1f} GFLOP/s of the model: {:.1f} % of the measured peak\n",
             tokens / result.best, rate / 1e9, 100 * rate / peak);
  if (profiling) fmt::print("{}", profile.table(measured_peaks()));
}

}  // namespace minke
