#include "bench/gemm.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/threads.h"
#include "bench/timing.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/peak.h"

namespace minke {
namespace {

constexpr int64_t tokens = 8 * 256, experts_per_token = 4;

// y [rows, out] = x [rows, in]·Wᵀ, the rows spread evenly over the groups.
struct Shape {
  const char* name;
  int64_t in, out;
  int64_t groups = 1;
};

struct Result {
  Shape shape;
  int64_t rows;                   // of one group
  double forward, input, weight;  // FLOP/s
};

std::vector<Shape> shapes_of(const std::string& preset) {
  if (preset == "12m")
    return {{"q_a, kv_a", 256, 192},
            {"q_b", 96, 384},
            {"kv_b", 64, 512},
            {"o", 256, 256},
            {"gate, up", 256, 1376},
            {"down", 688, 256},
            {"head", 256, 4096},
            {"experts gate, up", 256, 256, 16},
            {"experts down", 128, 256, 16},
            {"64 rows an expert", 256, 256, 128}};
  if (preset == "107m")
    return {{"q_a, kv_a", 512, 352},
            {"q_b", 192, 768},
            {"kv_b", 128, 1024},
            {"o", 512, 512},
            {"gate, up", 512, 2816},
            {"down", 1408, 512},
            {"head", 512, 8192},
            {"experts gate, up", 512, 512, 32},
            {"experts down", 256, 512, 32},
            {"64 rows an expert", 512, 512, 128}};
  fail_usage("--preset {}: 12m or 107m", preset);
}

Tensor random_rows(Arena& arena, int64_t rows, int64_t columns) {
  const Tensor t = arena.allocate(DType::bf16, {rows, columns});
  Random random(0);
  for (int64_t i = 0; i < t.size(); ++i)
    reinterpret_cast<BFloat16*>(t.data)[i] =
        to_bfloat16(static_cast<float>(random.uniform() - 0.5));
  return t;
}

Result measure(const Shape& s) {
  const int64_t rows = s.groups > 1 ? tokens * experts_per_token : tokens;
  const int64_t bytes = 8 * (rows * (s.in + s.out) + s.groups * (s.in + 64) * (s.out + 64));
  Arena arena(2 * bytes);
  const Tensor x = random_rows(arena, rows, s.in), dy = random_rows(arena, rows, s.out);
  const Tensor y = arena.allocate(DType::bf16, {rows, s.out});
  const Tensor dx = arena.allocate(DType::bf16, {rows, s.in});
  std::vector<PackedMatrix> forward, backward;
  std::vector<Tensor> dw;
  std::vector<int64_t> offsets = {0};
  for (int64_t g = 0; g < s.groups; ++g) {
    const Tensor w = random_rows(arena, s.out, s.in);
    pack(forward.emplace_back(allocate_packed(arena, DType::bf16, s.out, s.in)), w);
    pack_transposed(backward.emplace_back(allocate_packed(arena, DType::bf16, s.in, s.out)), w);
    dw.push_back(arena.allocate(DType::f32, {s.out, s.in}));
    offsets.push_back((g + 1) * rows / s.groups);
  }
  const double operations = 2.0 * rows * s.in * s.out;
  const auto rate = [&](const std::function<void()>& work) {
    return operations / best_seconds(work);
  };
  return {s, rows / s.groups, rate([&] { matmul_grouped(y, x, forward, offsets); }),
          rate([&] { matmul_grouped(dx, dy, backward, offsets); }),
          rate([&] { matmul_weight_gradient_grouped(dw, dy, x, offsets, true); })};
}

bool is_large(const Result& r) { return std::min({r.rows, r.shape.in, r.shape.out}) >= 256; }

// Geometric mean of the rates of the products with all dimensions ≥ 256.
double mean_of_large(std::span<const Result> results) {
  double logarithms = 0;
  int count = 0;
  for (const Result& r : results)
    if (is_large(r)) {
      logarithms += std::log(r.forward) + std::log(r.input) + std::log(r.weight);
      count += 3;
    }
  return std::exp(logarithms / std::max(count, 1));
}

void print_table(std::span<const Result> results, double peak) {
  fmt::print("{}, {} threads, bf16 on {}, peak {:.1f} GFLOP/s\n", machine().cpu_name,
             thread_count(), isa_name(active_isa()), peak / 1e9);
  fmt::print("{:18} {:>6} {:>5} {:>5} {:>6}  {:>16} {:>16} {:>16}\n", "product", "rows", "in",
             "out", "groups", "forward", "input gradient", "weight gradient");
  const auto cell = [&](double rate) {
    return fmt::format("{:.0f} GF {:5.1f} %", rate / 1e9, 100 * rate / peak);
  };
  for (const Result& r : results)
    fmt::print("{:18} {:6} {:5} {:5} {:6}  {:>16} {:>16} {:>16}\n", r.shape.name, r.rows,
               r.shape.in, r.shape.out, r.shape.groups, cell(r.forward), cell(r.input),
               cell(r.weight));
  fmt::print("geometric mean where all dimensions are at least 256: {}\n",
             cell(mean_of_large(results)));
}

void print_json(std::span<const Result> results, const std::string& preset, double peak) {
  nlohmann::ordered_json json = {{"cpu", machine().cpu_name},
                                 {"threads", thread_count()},
                                 {"isa", isa_name(active_isa())},
                                 {"preset", preset},
                                 {"peak_flops", peak},
                                 {"mean_of_large_flops", mean_of_large(results)},
                                 {"mean_of_large_fraction", mean_of_large(results) / peak},
                                 {"products", nlohmann::ordered_json::array()}};
  for (const Result& r : results)
    json["products"].push_back({{"name", r.shape.name},
                                {"rows", r.rows},
                                {"in", r.shape.in},
                                {"out", r.shape.out},
                                {"groups", r.shape.groups},
                                {"forward_flops", r.forward},
                                {"input_gradient_flops", r.input},
                                {"weight_gradient_flops", r.weight}});
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

void bench_gemm(const std::string& preset, bool json) {
  std::vector<Result> results;
  for (const Shape& shape : shapes_of(preset)) results.push_back(measure(shape));
  const double peak = measured_flops(measured_peaks(), DType::bf16);
  if (json)
    print_json(results, preset, peak);
  else
    print_table(results, peak);
}

}  // namespace minke
