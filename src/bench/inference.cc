#include "bench/inference.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "base/machine.h"
#include "base/random.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/peak.h"
#include "model/loaded_model.h"
#include "plan/flops.h"

namespace minke {
namespace {

constexpr int64_t chunk_tokens = 512;  // of a prompt in one forward pass

LoadOptions load_options(const InferenceBench& options, int64_t added, int64_t rows) {
  const int64_t pages = (options.context + added + page_tokens - 1) / page_tokens;
  LoadOptions load;
  load.max_tokens = pages * page_tokens;
  load.cache_tokens = load.max_tokens * options.batch;
  load.batch_tokens = rows;
  load.batch_logits = options.batch;
  return load;
}

// A model with sequences of random tokens.
class Bench {
 public:
  Bench(const std::string& path, const InferenceBench& options, int64_t added, int64_t rows)
      : before_(measure_peaks(5)),
        start_(now_seconds()),
        model_(path, load_options(options, added, rows)),
        load_seconds_(now_seconds() - start_),
        batch_(options.batch) {
    const int64_t pages = model_.pages() / batch_;
    for (int64_t i = 0; i < batch_; ++i) {
      pages_.emplace_back(static_cast<size_t>(pages));
      std::iota(pages_.back().begin(), pages_.back().end(), static_cast<int32_t>(i * pages));
    }
    model_.randomize_pages(1);
  }

  LoadedModel& model() { return model_; }
  double load_seconds() const { return load_seconds_; }

  // `count` tokens of every sequence after `past`; logits of the last.
  void forward(int64_t past, int64_t count, AttentionForm form) {
    std::vector<int32_t> tokens(static_cast<size_t>(batch_ * count)), last;
    for (int32_t& token : tokens)
      token =
          static_cast<int32_t>(random_.below(static_cast<uint64_t>(model_.config().vocab_size)));
    std::vector<BatchSegment> segments;
    for (int64_t i = 0; i < batch_; ++i) {
      segments.push_back({i * count, (i + 1) * count, past, pages_[i], form});
      last.push_back(static_cast<int32_t>((i + 1) * count - 1));
    }
    model_.forward(tokens, std::move(segments), last);
  }

  // The limits, as the better of two measurements: before the work and now.
  Peaks peaks() const {
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
  Peaks before_;
  double start_;
  LoadedModel model_;
  double load_seconds_;
  int64_t batch_;
  std::vector<std::vector<int32_t>> pages_;
  Random random_{1};
};

nlohmann::ordered_json report(const std::string& model, const InferenceBench& options) {
  return {{"cpu", machine().cpu_name},     {"threads", thread_count()},
          {"isa", isa_name(active_isa())}, {"model", model},
          {"tokens", options.tokens},      {"context", options.context},
          {"batch", options.batch}};
}

void print(const nlohmann::ordered_json& line, bool json) {
  if (json) {
    fmt::print("{}\n", line.dump());
    return;
  }
  for (const auto& [key, value] : line.items()) fmt::print("{:28} {}\n", key, value.dump());
}

double median(std::vector<double> seconds) {
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

}  // namespace

void bench_prefill(const std::string& model, const InferenceBench& options) {
  const int64_t rows = std::min(options.tokens * options.batch, chunk_tokens);

  Bench bench(model, options, options.tokens, rows);
  const auto read_prompt = [&] {
    const int64_t chunk = rows / options.batch;
    for (int64_t done = 0; done < options.tokens; done += chunk)
      bench.forward(options.context + done, std::min(chunk, options.tokens - done),
                    AttentionForm::expanded);
  };
  read_prompt();
  std::vector<double> seconds;
  for (int i = 0; i < options.repeat; ++i) {
    const double start = now_seconds();
    read_prompt();
    seconds.push_back(now_seconds() - start);
  }
  const Peaks peaks = bench.peaks();
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
  print(line, options.json);
}

void bench_decode(const std::string& model, const InferenceBench& options) {
  constexpr int64_t warm_up = 2;
  Bench bench(model, options, warm_up + options.tokens, options.batch);
  std::vector<double> seconds;
  int64_t read_before = 0;
  for (int64_t step = -warm_up; step < options.tokens; ++step) {
    if (step == 0) read_before = packed_bytes_read();
    const double start = now_seconds();
    bench.forward(options.context + warm_up + step, 1, AttentionForm::absorbed);
    if (step >= 0) seconds.push_back(now_seconds() - start);
  }
  const double weights =
      static_cast<double>(packed_bytes_read() - read_before) / static_cast<double>(options.tokens);
  const double keys = static_cast<double>(options.batch * bench.model().cache_bytes_per_token()) *
                      (static_cast<double>(options.context + warm_up) + 0.5 * options.tokens);
  const double bandwidth = bench.peaks().memory_bytes_per_second;
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
               {"best_limit_fraction", (weights + keys) / best / bandwidth}});
  print(line, options.json);
}

}  // namespace minke
