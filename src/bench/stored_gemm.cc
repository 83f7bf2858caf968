#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/threads.h"
#include "bench/gemm.h"
#include "bench/timing.h"
#include "kernels/blocks.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/peak.h"

namespace minke {
namespace {

constexpr BlockFormat formats[] = {BlockFormat::bf16, BlockFormat::f16,  BlockFormat::f8_e4m3,
                                   BlockFormat::q4_0, BlockFormat::q4_1, BlockFormat::q4_k,
                                   BlockFormat::q5_k, BlockFormat::q6_k, BlockFormat::q8_0};

// y [rows, out] = x·Wᵀ, for each of the groups.
struct Shape {
  int64_t rows, in, out, groups;
};
constexpr Shape prefill_shapes[] = {
    {512, 2048, 1408, 1}, {512, 2048, 2048, 1}, {512, 2048, 10944, 1}, {48, 2048, 2816, 64}};
constexpr Shape decode_shape = {1, 2048, 2816, 1};
constexpr int64_t decode_bytes = int64_t{192} << 20;  // of different weights, in turns

struct Result {
  BlockFormat format;
  double decode = 0;            // bytes of packed weights per second
  double mapped = 0;            // bytes of stored weights per second
  std::vector<double> prefill;  // operations per second of each shape
  double packing = 0;           // stored bytes per second
};

// A weight whose rows repeat 16 random ones.
class Weight {
 public:
  Weight(BlockFormat format, int64_t rows, int64_t columns)
      : bytes_(static_cast<size_t>(rows * block_format_bytes(format, columns))),
        scales_((rows / f8_scale_block + 1) * (columns / f8_scale_block + 1)) {
    const int64_t row_bytes = block_format_bytes(format, columns);
    std::vector<float> row(static_cast<size_t>(columns));
    Random random(0);
    for (int64_t r = 0; r < rows; ++r) {
      std::byte* to = bytes_.data() + r * row_bytes;
      if (r < 16) {
        for (float& x : row) x = static_cast<float>(random.normal());
        if (format == BlockFormat::f8_e4m3)
          quantize_f8_rows(row.data(), 1, columns, to, scales_.data());
        else
          quantize_row(format, row.data(), columns, to);
      } else {
        std::memcpy(to, to - 16 * row_bytes, static_cast<size_t>(row_bytes));
      }
    }
    // Those of the last row serve for all.
    const int64_t blocks = (columns + f8_scale_block - 1) / f8_scale_block;
    for (int64_t i = blocks; i < std::ssize(scales_); ++i) scales_[i] = scales_[i % blocks];
    matrix = {format, rows, columns, bytes_.data(), reinterpret_cast<std::byte*>(scales_.data())};
  }
  StoredMatrix matrix;
  int64_t bytes() const { return static_cast<int64_t>(bytes_.size()); }

 private:
  std::vector<std::byte> bytes_;
  std::vector<float> scales_;
};

Tensor random_rows(Arena& arena, int64_t rows, int64_t columns) {
  const Tensor t = arena.allocate(DType::bf16, {rows, columns});
  Random random(1);
  for (int64_t i = 0; i < t.size(); ++i)
    t.as<BFloat16>()[i] = to_bfloat16(static_cast<float>(random.normal()));
  return t;
}

// `count` packed copies of the weight.
std::vector<PackedMatrix> packed_copies(Arena& arena, const Weight& weight, int64_t count) {
  std::vector<PackedMatrix> copies;
  const StoredMatrix& m = weight.matrix;
  for (int64_t i = 0; i < count; ++i)
    pack_stored(copies.emplace_back(
                    allocate_packed(arena, packing_of(m.format, DType::bf16), m.rows, m.columns)),
                m);
  return copies;
}

int64_t packed_bytes(BlockFormat format, const Shape& s) {
  Arena counting = Arena::counting();
  return allocate_packed(counting, packing_of(format, DType::bf16), s.out, s.in).storage.bytes();
}

double decode_rate(BlockFormat format) {
  const Shape& s = decode_shape;
  const int64_t bytes = packed_bytes(format, s), count = decode_bytes / bytes + 1;
  Arena arena(count * bytes + (1 << 16));
  const Tensor x = random_rows(arena, 1, s.in), y = arena.allocate(DType::f32, {1, s.out});
  const std::vector<PackedMatrix> weights =
      packed_copies(arena, Weight(format, s.out, s.in), count);
  const double seconds = best_seconds([&] {
    for (const PackedMatrix& w : weights) matmul(y, x, w);
  });
  return static_cast<double>(count * bytes) / seconds;
}

double mapped_rate(BlockFormat format) {
  const Shape& s = decode_shape;
  const int64_t count = decode_bytes / (s.out * block_format_bytes(format, s.in)) + 1;
  Arena arena(1 << 16);
  const Tensor x = random_rows(arena, 1, s.in), y = arena.allocate(DType::f32, {1, s.out});
  const Weight weight(format, count * s.out, s.in);
  std::vector<PackedMatrix> mapped;
  for (int64_t i = 0; i < count; ++i)
    mapped.push_back(map_stored(weight.matrix.slice_rows(i * s.out, (i + 1) * s.out),
                                packing_of(format, DType::bf16)));
  const double seconds = best_seconds([&] {
    for (const PackedMatrix& w : mapped) matmul(y, x, w);
  });
  return static_cast<double>(weight.bytes()) / seconds;
}

double prefill_rate(BlockFormat format, const Shape& s) {
  const int64_t rows = s.rows * s.groups;
  Arena arena(s.groups * packed_bytes(format, s) + 2 * rows * (s.in + s.out) + (1 << 16));
  const Tensor x = random_rows(arena, rows, s.in), y = arena.allocate(DType::bf16, {rows, s.out});
  const std::vector<PackedMatrix> weights =
      packed_copies(arena, Weight(format, s.out, s.in), s.groups);
  std::vector<int64_t> offsets;
  for (int64_t g = 0; g <= s.groups; ++g) offsets.push_back(g * s.rows);
  const double seconds = best_seconds([&] { matmul_grouped(y, x, weights, offsets); });
  return 2.0 * static_cast<double>(rows * s.in * s.out) / seconds;
}

double packing_rate(BlockFormat format) {
  const Weight weight(format, 16384, 2048);
  const int64_t rows = weight.matrix.rows, columns = weight.matrix.columns;
  const Shape shape{1, columns, rows, 1};
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {  // into fresh memory, as when a model is loaded
    Arena arena(packed_bytes(format, shape) + (1 << 16));
    const PackedMatrix packed =
        allocate_packed(arena, packing_of(format, DType::bf16), rows, columns);
    const double start = now_seconds();
    pack_stored(packed, weight.matrix);
    best = std::min(best, now_seconds() - start);
  }
  return static_cast<double>(weight.bytes()) / best;
}

Result measure(BlockFormat format) {
  Result result{format, decode_rate(format), mapped_rate(format), {}, packing_rate(format)};
  for (const Shape& s : prefill_shapes) result.prefill.push_back(prefill_rate(format, s));
  return result;
}

// The measured peak of the arithmetic that products with that format use.
double peak_of(BlockFormat format) {
  if (!is_integer(packing_of(format, DType::bf16)))
    return measured_flops(measured_peaks(), DType::bf16);
  const bool vnni = active_isa() >= Isa::avx512;
  const double peak = measured_peaks().of("int8", vnni ? "avx512_vnni" : "avx2");
  return peak > 0 ? peak : measured_peaks().best("int8");
}

void print_table(const std::vector<Result>& results) {
  const double bandwidth = measured_peaks().memory_bytes_per_second;
  fmt::print("{}, {} threads, {}, memory {:.1f} GB/s, int8 {:.0f} Gop/s\n", machine().cpu_name,
             thread_count(), isa_name(active_isa()), bandwidth / 1e9,
             peak_of(BlockFormat::q4_0) / 1e9);
  fmt::print("{:7} {:8} {:>9} {:>17} {:>17}", "format", "packing", "packing", "1 x 2048 x 2816",
             "mapped");
  for (const Shape& s : prefill_shapes) {
    const std::string name = fmt::format("{} x {} x {}", s.rows, s.in, s.out);
    fmt::print(" {:>17}", s.groups > 1 ? fmt::format("{} of {}", s.groups, s.rows) : name);
  }
  fmt::print("\n");
  for (const Result& r : results) {
    fmt::print("{:7} {:8} {:4.1f} GB/s", block_format_name(r.format),
               packing_name(packing_of(r.format, DType::bf16)), r.packing / 1e9);
    for (const double rate : {r.decode, r.mapped})
      fmt::print(" {:7.1f} GB/s {:2.0f} %", rate / 1e9, 100 * rate / bandwidth);
    for (const double rate : r.prefill)
      fmt::print(" {:10.0f} Go {:2.0f} %", rate / 1e9, 100 * rate / peak_of(r.format));
    fmt::print("\n");
  }
}

void print_json(const std::vector<Result>& results) {
  nlohmann::ordered_json json = {
      {"cpu", machine().cpu_name},
      {"threads", thread_count()},
      {"isa", isa_name(active_isa())},
      {"memory_bytes_per_second", measured_peaks().memory_bytes_per_second},
      {"formats", nlohmann::ordered_json::array()}};
  for (const Result& r : results) {
    nlohmann::ordered_json entry = {
        {"format", block_format_name(r.format)},
        {"packing", packing_name(packing_of(r.format, DType::bf16))},
        {"packed_bytes_per_second", r.packing},
        {"decode_bytes_per_second", r.decode},
        {"decode_fraction", r.decode / measured_peaks().memory_bytes_per_second},
        {"mapped_bytes_per_second", r.mapped},
        {"mapped_fraction", r.mapped / measured_peaks().memory_bytes_per_second},
        {"products", nlohmann::ordered_json::array()}};
    for (size_t i = 0; i < r.prefill.size(); ++i)
      entry["products"].push_back({{"rows", prefill_shapes[i].rows},
                                   {"in", prefill_shapes[i].in},
                                   {"out", prefill_shapes[i].out},
                                   {"groups", prefill_shapes[i].groups},
                                   {"operations_per_second", r.prefill[i]},
                                   {"fraction", r.prefill[i] / peak_of(r.format)}});
    json["formats"].push_back(entry);
  }
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

void bench_stored_gemm(bool json) {
  std::vector<Result> results;
  for (const BlockFormat format : formats) results.push_back(measure(format));
  if (json)
    print_json(results);
  else
    print_table(results);
}

}  // namespace minke
