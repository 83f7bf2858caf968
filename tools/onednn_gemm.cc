// Times oneDNN's matrix products in the dtype that it is called with, bf16 or f32, the peer of
// `minke bench gemm`; tools/bench_onednn.py compiles and runs it. Reads lines "kind rows in out
// groups" and prints operations per second for each:
//   forward: y [rows, out] = x [rows, in]·Wᵀ        W in the layout that oneDNN chooses or as rows
//                                                   of Wᵀ, whichever is faster; reordered before
//   input:   dx [rows, in] = dy [rows, out]·W        the same
//   weight:  dw [out, in] f32 += dyᵀ·x               both operands are activations
// `groups` products of one shape are submitted one after the other, as oneDNN has no grouped
// product of these.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

using dnnl::memory;

namespace {

struct Product {
  dnnl::matmul primitive;
  std::vector<std::unordered_map<int, memory>> arguments;  // of each group
};

memory::desc plain(int64_t rows, int64_t columns, memory::data_type type, bool transposed = false) {
  return {{rows, columns}, type, transposed ? memory::dims{1, rows} : memory::dims{columns, 1}};
}

// c [m, n] = a [m, k]·b [k, n]; b in oneDNN's own layout if `packed`.
Product make(const dnnl::engine& engine, dnnl::stream& stream, memory::data_type type, int64_t m,
             int64_t n, int64_t k, int64_t groups, bool gradient, bool packed) {
  const memory::desc a = plain(m, k, type, gradient);
  const memory::desc any({k, n}, type, memory::format_tag::any);
  const memory::desc b = packed ? any : plain(k, n, type);
  const memory::desc c = plain(m, n, gradient ? memory::data_type::f32 : type);
  dnnl::primitive_attr attributes;
  if (gradient) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::primitive_desc description(engine, a, b, c, attributes);
  Product product{dnnl::matmul(description), {}};
  for (int64_t g = 0; g < groups; ++g)
    product.arguments.push_back({{DNNL_ARG_SRC, memory(a, engine)},
                                 {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), engine)},
                                 {DNNL_ARG_DST, memory(c, engine)}});
  stream.wait();
  return product;
}

double seconds_of(const Product& product, dnnl::stream& stream) {
  const auto start = std::chrono::steady_clock::now();
  for (const auto& arguments : product.arguments) product.primitive.execute(stream, arguments);
  stream.wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best of fifteen runs of at least 10 ms each, as Minke's benchmark takes it.
double best_seconds(const Product& product, dnnl::stream& stream) {
  const double once = std::min(seconds_of(product, stream), seconds_of(product, stream));
  const int repeats = std::max(1, static_cast<int>(0.01 / once));
  double best = 1e9;
  for (int run = 0; run < 15; ++run) {
    double sum = 0;
    for (int i = 0; i < repeats; ++i) sum += seconds_of(product, stream);
    best = std::min(best, sum / repeats);
  }
  return best;
}

}  // namespace

int main(int, char** arguments) {
  const bool f32 = std::string(arguments[1]) == "f32";
  const auto type = f32 ? memory::data_type::f32 : memory::data_type::bf16;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  std::string kind;
  int64_t rows, in, out, groups;
  while (std::cin >> kind >> rows >> in >> out >> groups) {
    const bool gradient = kind == "weight";
    const int64_t m = gradient ? out : rows, n = kind == "forward" ? out : in;
    const int64_t k = kind == "forward" ? in : gradient ? rows : out;
    const auto seconds = [&](bool packed) {
      return best_seconds(make(engine, stream, type, m, n, k, groups, gradient, packed), stream);
    };
    const double best = gradient ? seconds(false) : std::min(seconds(false), seconds(true));
    std::printf("%.6g\n", 2.0 * static_cast<double>(rows * in * out * groups) / best);
    std::fflush(stdout);
  }
}
