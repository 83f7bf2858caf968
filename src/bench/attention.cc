#include "bench/attention.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/threads.h"
#include "bench/timing.h"
#include "config/presets.h"
#include "kernels/attention.h"
#include "kernels/isa.h"
#include "kernels/peak.h"
#include "tensor/arena.h"

namespace minke {
namespace {

constexpr int64_t tokens_of_step = 8 * 256;

struct Result {
  int64_t length, sequences;
  double forward, backward;           // FLOP/s
  int64_t planned_bytes, peak_bytes;  // tensors; growth of resident memory since the beginning
};

void fill(const Tensor& t, uint64_t stream) {
  Random random(0, stream);
  for (int64_t i = 0; i < t.size(); ++i)
    reinterpret_cast<BFloat16*>(t.data)[i] =
        to_bfloat16(static_cast<float>(2 * random.uniform() - 1));
}

// The tensors of layers/mla.h that attention reads and writes.
struct Tensors {
  Tensors(Arena& arena, const ModelConfig& c, int64_t tokens)
      : nope(c.qk_nope_head_dim), width(nope + c.v_head_dim) {
    const int64_t heads = c.num_attention_heads, rope = c.qk_rope_head_dim;
    const auto rows = [&](int64_t columns) {
      return arena.allocate(DType::bf16, {tokens, heads, columns});
    };
    q = rows(nope + rope), dq = rows(nope + rope);
    kv = rows(width), dkv = rows(width);
    k_rope = arena.allocate(DType::bf16, {tokens, rope}), dk_rope = rows(rope);
    out = rows(c.v_head_dim), dout = rows(c.v_head_dim);
    lse = arena.allocate(DType::f32, {tokens, heads});
  }
  AttentionKeys keys(const Tensor& both, const Tensor& rope) const {
    return {both.slice_last(0, nope), rope, both.slice_last(nope, width)};
  }

  int64_t nope, width;
  Tensor q, kv, k_rope, out, lse, dout, dq, dkv, dk_rope;
};

Result measure(const ModelConfig& c, int64_t length, int64_t resident_before) {
  const int64_t count = std::max<int64_t>(1, tokens_of_step / length), tokens = count * length;
  Arena counting = Arena::counting();
  Tensors(counting, c, tokens);
  Arena arena(counting.used());
  const Tensors t(arena, c, tokens);
  uint64_t stream = 0;
  for (const Tensor& input : {t.q, t.kv, t.k_rope, t.dout}) fill(input, ++stream);
  std::vector<AttentionSequence> sequences;
  for (int64_t begin = 0; begin < tokens; begin += length)
    sequences.push_back({begin, begin + length, begin, begin + length});

  const int64_t qk = c.qk_head_dim(), v = c.v_head_dim;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(qk)));
  const AttentionKeys keys = t.keys(t.kv, t.k_rope), dkeys = t.keys(t.dkv, Tensor());
  const double forward =
      best_seconds([&] { attention_forward(t.out, t.lse, t.q, keys, sequences, scale); });
  const double backward = best_seconds([&] {
    attention_backward(t.dq, dkeys, t.dk_rope, t.dout, t.out, t.lse, t.q, keys, sequences, scale);
  });
  // A query sees the keys up to its own; backward has five products for the two of forward.
  const double pairs = 0.5 * static_cast<double>(tokens) * static_cast<double>(length + 1);
  const double operations = 2 * pairs * static_cast<double>(c.num_attention_heads);
  return {length,
          count,
          operations * static_cast<double>(qk + v) / forward,
          operations * static_cast<double>(3 * qk + 2 * v) / backward,
          counting.used(),
          peak_resident_bytes() - resident_before};
}

void print_table(const ModelConfig& c, std::span<const Result> results, double peak) {
  fmt::print("{}, {} threads, bf16 on {}, peak {:.1f} GFLOP/s; {} heads, q and k {}, v {}\n",
             machine().cpu_name, thread_count(), isa_name(active_isa()), peak / 1e9,
             c.num_attention_heads, c.qk_head_dim(), c.v_head_dim);
  fmt::print("{:>7} {:>9}  {:>16} {:>16}  {:>8} {:>8}\n", "length", "sequences", "forward",
             "backward", "planned", "peak MiB");
  const auto cell = [&](double rate) {
    return fmt::format("{:.0f} GF {:5.1f} %", rate / 1e9, 100 * rate / peak);
  };
  for (const Result& r : results)
    fmt::print("{:7} {:9}  {:>16} {:>16}  {:8.1f} {:8.1f}\n", r.length, r.sequences,
               cell(r.forward), cell(r.backward), static_cast<double>(r.planned_bytes) / 1048576,
               static_cast<double>(r.peak_bytes) / 1048576);
}

void print_json(const std::string& preset, std::span<const Result> results, double peak) {
  nlohmann::ordered_json json = {{"cpu", machine().cpu_name},
                                 {"threads", thread_count()},
                                 {"isa", isa_name(active_isa())},
                                 {"preset", preset},
                                 {"peak_flops", peak},
                                 {"lengths", nlohmann::ordered_json::array()}};
  for (const Result& r : results)
    json["lengths"].push_back({{"length", r.length},
                               {"sequences", r.sequences},
                               {"forward_flops", r.forward},
                               {"forward_fraction", r.forward / peak},
                               {"backward_flops", r.backward},
                               {"backward_fraction", r.backward / peak},
                               {"planned_bytes", r.planned_bytes},
                               {"peak_bytes", r.peak_bytes}});
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

void bench_attention(const std::string& preset, std::vector<int64_t> lengths, bool json) {
  const ModelConfig config = model_preset(preset);
  if (!config.is_mla()) fail_usage("--preset {}: a model with latent attention", preset);
  const double peak = measured_flops(measured_peaks(), DType::bf16);
  std::sort(lengths.begin(), lengths.end());  // so that each has the highest peak so far
  const int64_t before = resident_bytes();
  std::vector<Result> results;
  results.reserve(lengths.size());
  for (const int64_t length : lengths) results.push_back(measure(config, length, before));
  if (json)
    print_json(preset, results, peak);
  else
    print_table(config, results, peak);
}

}  // namespace minke
