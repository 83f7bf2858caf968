#include "bench/inference.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/machine.h"
#include "bench/random_sequences.h"
#include "bench/report_line.h"
#include "kernels/matmul.h"
#include "kernels/peak.h"
#include "plan/flops.h"
#include "train/profile.h"

namespace minke {
namespace {

constexpr int64_t chunk_tokens = 512;  // of a prompt in one forward pass

LoadOptions load_options(const InferenceBench& options, int64_t added, int64_t rows) {
  const int64_t pages = (options.context + added + page_tokens - 1) / page_tokens;
  LoadOptions load;
  load.memory_bytes = options.memory_bytes;
  load.max_tokens = pages * page_tokens;
  load.cache_tokens = load.max_tokens * options.batch;
  load.batch_tokens = rows;
  load.batch_logits = options.batch;
  if (options.simulated_acceptance > 0) {
    load.batch_logits = rows;
    load.drafts = true;
  }
  return load;
}

// The limits, as the better of two measurements: before the work and after it.
class PeaksAround {
 public:
  Peaks best() const {
    const Peaks after = measure_peaks(5);
    Peaks best = before_;
    best.memory_bytes_per_second =
        std::max(before_.memory_bytes_per_second, after.memory_bytes_per_second);
    for (size_t i = 0; i < best.units.size(); ++i)
      best.units[i].operations_per_second =
          std::max(best.units[i].operations_per_second, after.units[i].operations_per_second);
    return best;
  }

 private:
  Peaks before_ = measure_peaks(5);
};

nlohmann::ordered_json report(const std::string& model, const InferenceBench& options) {
  nlohmann::ordered_json line = begin_report(model);
  line.update({{"tokens", options.tokens}, {"context", options.context}, {"batch", options.batch}});
  return line;
}

double median(std::vector<double> seconds) {
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

// Seconds that `work` takes; with a profile, which counts it as a step.
template <typename Work>
double timed(StepProfile* profile, const Work& work) {
  const double start = now_seconds();
  if (profile) profile->begin_step();
  work();
  const double seconds = now_seconds() - start;
  if (profile) profile->end_step(seconds);
  return seconds;
}

void print_with_profile(nlohmann::ordered_json& line, const InferenceBench& options,
                        const StepProfile& profile, const Peaks& peaks) {
  if (options.profile && options.json) line["profile"] = profile.json(peaks);
  print_report(line, options.json);
  if (options.profile && !options.json) fmt::print("\n{}", profile.table(peaks));
}

// Sequences that grow by steps which check drafts, of which chance decides how many are taken.
class SimulatedDrafts {
 public:
  SimulatedDrafts(const InferenceBench& options, int64_t first)
      : options_(options), sizes_(static_cast<size_t>(options.batch), first) {}

  // One step; seconds.
  double step(RandomSequences& bench) {
    const int64_t checked = 1 + options_.draft_tokens;
    const double seconds = bench.forward(sizes_, checked, AttentionForm::absorbed, checked);
    for (int64_t& size : sizes_) {
      int64_t taken = 1;
      while (taken < checked && random_.uniform() < options_.simulated_acceptance) ++taken;
      size += taken;
      taken_ += taken;
    }
    ++steps_;
    return seconds;
  }

  void report(nlohmann::ordered_json& line, double seconds, double plain) const {
    const double tokens = static_cast<double>(taken_) / static_cast<double>(steps_);
    line.update({{"simulated_acceptance", options_.simulated_acceptance},
                 {"draft_tokens", options_.draft_tokens},
                 {"simulated_tokens_per_step", tokens},
                 {"simulated_median_seconds", seconds},
                 {"simulated_tokens_per_second", tokens / seconds},
                 {"simulated_speed_up", tokens / seconds / plain}});
  }

 private:
  const InferenceBench& options_;
  std::vector<int64_t> sizes_;
  int64_t taken_ = 0, steps_ = 0;
  Random random_{2};
};

}  // namespace

void bench_prefill(const std::string& model, const InferenceBench& options) {
  const int64_t rows = std::min(options.tokens * options.batch, chunk_tokens);

  const PeaksAround around;
  RandomSequences bench(model, load_options(options, options.tokens, rows), options.batch);
  const auto read_prompt = [&] {
    const int64_t chunk = rows / options.batch;
    for (int64_t done = 0; done < options.tokens; done += chunk)
      bench.forward(options.context + done, std::min(chunk, options.tokens - done),
                    AttentionForm::expanded);
  };
  read_prompt();
  std::vector<double> seconds;
  seconds.reserve(static_cast<size_t>(options.repeat));
  StepProfile profile;
  for (int i = 0; i < options.repeat; ++i)
    seconds.push_back(timed(options.profile ? &profile : nullptr, read_prompt));
  const Peaks peaks = around.best();
  const ModelConfig& config = bench.model().config();
  const double best = *std::min_element(seconds.begin(), seconds.end());
  const double tokens = static_cast<double>(options.tokens * options.batch);
  // The head multiplies the last token of each prompt alone.
  const double head = 2.0 * static_cast<double>(config.vocab_size * config.hidden_size);
  const int64_t length = 2 * options.context + options.tokens;  // its mean is that of the keys
  const double operations =
      tokens * (forward_flops_per_token(config, length, false) - head) + options.batch * head;
  const bool integers = bench.model().has_integer_weights();
  const double peak = integers ? peaks.best("int8") : measured_flops(peaks, DType::bf16);
  auto line = report(model, options);
  line.update({{"load_seconds", bench.load_seconds()},
               {"best_seconds", best},
               {"median_seconds", median(seconds)},
               {"tokens_per_second", tokens / best},
               {"operations_per_token", operations / tokens},
               {"limit", integers ? "int8" : "bf16"},
               {"limit_operations_per_second", peak},
               {"limit_fraction", operations / best / peak}});
  print_with_profile(line, options, profile, peaks);
}

void bench_decode(const std::string& model, const InferenceBench& options) {
  constexpr int64_t warm_up = 2;
  const bool drafting = options.simulated_acceptance > 0;
  const int64_t checked = drafting ? 1 + options.draft_tokens : 1;  // tokens of a sequence a step
  const int64_t first = options.context + warm_up;
  MemoryReads memory;
  RandomSequences bench(
      model, load_options(options, warm_up + options.tokens * checked, options.batch * checked),
      options.batch);
  SimulatedDrafts drafts(options, first);
  std::vector<double> seconds, empty, drafted, bandwidths;
  int64_t read = 0;
  StepProfile profile;
  for (int64_t step = -warm_up; step < options.tokens; ++step) {
    const int64_t read_before = packed_bytes_read();
    const double time = timed(options.profile && step >= 0 ? &profile : nullptr,
                              [&] { bench.forward(first + step, 1, AttentionForm::absorbed); });
    if (step >= 0) seconds.push_back(time);
    if (step >= 0) read += packed_bytes_read() - read_before;
    if (step >= 0) bandwidths.push_back(memory.measure());
    if (options.context > 0) {
      const double time_of_empty = bench.forward(warm_up + step, 1, AttentionForm::absorbed);
      if (step >= 0) empty.push_back(time_of_empty);
    }
    if (drafting && step >= 0) drafted.push_back(drafts.step(bench));
  }
  const double weights = static_cast<double>(read) / static_cast<double>(options.tokens);
  const double keys = static_cast<double>(options.batch * bench.model().cache_bytes_per_token()) *
                      (static_cast<double>(first) + 0.5 * static_cast<double>(options.tokens));
  const double bandwidth = median(bandwidths);
  const double best_bandwidth = *std::max_element(bandwidths.begin(), bandwidths.end());
  const double best = *std::min_element(seconds.begin(), seconds.end()), middle = median(seconds);
  const double batch = static_cast<double>(options.batch);
  auto line = report(model, options);
  line.update({{"load_seconds", bench.load_seconds()},
               {"best_seconds", best},
               {"median_seconds", middle},
               {"tokens_per_second", batch / middle},
               {"best_tokens_per_second", batch / best},
               {"cache_bytes_per_token", bench.model().cache_bytes_per_token()},
               {"weight_bytes_per_step", weights},
               {"cache_bytes_per_step", keys},
               {"limit", "memory read"},
               {"limit_bytes_per_second", bandwidth},
               {"limit_tokens_per_second", batch * bandwidth / (weights + keys)},
               {"limit_fraction", (weights + keys) / middle / bandwidth},
               {"best_limit_fraction", (weights + keys) / best / best_bandwidth}});
  if (!empty.empty())
    line.update({{"empty_context_median_seconds", median(empty)},
                 {"loss_to_context", 1 - median(empty) / middle}});
  if (drafting) drafts.report(line, median(drafted), batch / middle);
  Peaks peaks;
  if (options.profile) peaks = measured_peaks();
  peaks.memory_bytes_per_second = bandwidth;
  print_with_profile(line, options, profile, peaks);
}

}  // namespace minke
