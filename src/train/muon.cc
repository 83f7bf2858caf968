#include "train/muon.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "kernels/elementwise.h"
#include "kernels/optimizer.h"

namespace minke {
namespace {

struct Coefficients {
  float a, b, c;
};
constexpr Coefficients fast_step{3.4445f, -4.7750f, 2.0315f};  // spreads small singular values
constexpr Coefficients exact_step{2.0f, -1.5f, 0.5f};          // settles them at 1
constexpr int fast_steps = 8, exact_steps = 2;

Tensor matrix_view(const Tensor& flat, int64_t rows, int64_t columns) {
  return Tensor(flat.data, flat.dtype, {rows, columns}, flat.device);
}

// A packed matrix over the front of a buffer that was allocated for a larger one.
PackedMatrix packed_view(const Tensor& buffer, DType dtype, int64_t rows, int64_t inner) {
  Arena counting = Arena::counting();
  PackedMatrix packed = allocate_packed(counting, dtype, rows, inner);
  require(packed.storage.bytes() <= buffer.bytes(), "Muon's buffer is too small");
  packed.storage.data = buffer.data;
  return packed;
}

}  // namespace

Muon::Muon(const OptimizerConfig& config, DType compute, std::vector<Matrix> matrices, Arena& arena)
    : learning_rate_(config.muon_learning_rate > 0 ? config.muon_learning_rate
                                                   : config.learning_rate),
      momentum_(config.muon_momentum),
      weight_decay_(config.weight_decay),
      compute_(compute),
      matrices_(std::move(matrices)) {
  int64_t elements = 0, square = 0, packed = 0;
  for (const Matrix& matrix : matrices_) {
    const int64_t r = std::min(matrix.rows, matrix.columns);
    const int64_t c = std::max(matrix.rows, matrix.columns);
    elements = std::max(elements, r * c);
    square = std::max(square, r * r);
    for (const auto& [rows, inner] : {std::pair(r, c), std::pair(c, r), std::pair(r, r)}) {
      Arena counting = Arena::counting();
      packed = std::max(packed, allocate_packed(counting, compute_, rows, inner).storage.bytes());
    }
  }
  for (int i = 0; !matrices_.empty() && i < thread_count(); ++i)
    scratch_.push_back({arena.allocate(DType::f32, {elements}),
                        arena.allocate(DType::f32, {elements}),
                        arena.allocate(DType::f32, {square}), arena.allocate(DType::f32, {square}),
                        arena.allocate(DType::bf16, {packed / 2})});
}

void Muon::step(const Tensor& weights, const Tensor& momentum, const Tensor& gradients,
                double factor, float gradient_scale) const {
  parallel_for(static_cast<int64_t>(matrices_.size()), [&](int64_t i) {
    update(matrices_[i], scratch_[thread_index()], weights, momentum, gradients, factor,
           gradient_scale);
  });
}

void Muon::update(const Matrix& matrix, const Scratch& scratch, const Tensor& weights,
                  const Tensor& momentum, const Tensor& gradients, double factor,
                  float gradient_scale) const {
  const int64_t rows = matrix.rows, columns = matrix.columns, size = rows * columns;
  const auto part = [&](const Tensor& flat) {
    return flat.slice_rows(matrix.offset, matrix.offset + size);
  };
  const float* gradient = part(gradients).as<float>();
  float* kept = scratch.x_next.as<float>();  // the momentum, as f32
  const Tensor kept_row = matrix_view(scratch.x_next, 1, size);
  const Tensor momentum_row = part(momentum).reshape({1, size});
  convert(kept_row, momentum_row);
  const bool transposed = rows > columns;
  float* x = scratch.x.as<float>();
  const float mu = static_cast<float>(momentum_);
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * gradient_scale;
    kept[i] = mu * kept[i] + g;
    x[transposed ? i % columns * rows + i / columns : i] = g + mu * kept[i];
  }
  convert(momentum_row, kept_row);

  orthogonalize(scratch, std::min(rows, columns), std::max(rows, columns));
  const double rate = learning_rate_ * factor;
  const float scale =
      static_cast<float>(rate * 0.18 * std::sqrt(static_cast<double>(std::max(rows, columns))));
  const float decay = static_cast<float>(rate * weight_decay_);
  float* weight = part(weights).as<float>();
  for (int64_t i = 0; i < size; ++i)
    weight[i] -= scale * x[transposed ? i % columns * rows + i / columns : i] + decay * weight[i];
}

// X in scratch.x, [r, c] with r ≤ c, is replaced by the nearest orthogonal matrix.
void Muon::orthogonalize(const Scratch& scratch, int64_t r, int64_t c) const {
  const Tensor x = matrix_view(scratch.x, r, c), next = matrix_view(scratch.x_next, r, c);
  const Tensor gram = matrix_view(scratch.gram, r, r), square = matrix_view(scratch.square, r, r);
  const double norm = std::sqrt(sum_of_squares(x.reshape({r * c})));
  const float inverse = static_cast<float>(1.0 / (norm + 1e-20));
  for (int64_t i = 0; i < r * c; ++i) x.as<float>()[i] *= inverse;
  for (int step = 0; step < fast_steps + exact_steps; ++step) {
    const Coefficients k = step < fast_steps ? fast_step : exact_step;
    const PackedMatrix rows_of_x = packed_view(scratch.packed, compute_, r, c);
    pack(rows_of_x, x);
    matmul(gram, x, rows_of_x);  // A = XXᵀ
    const PackedMatrix packed_gram = packed_view(scratch.packed, compute_, r, r);
    pack(packed_gram, gram);
    matmul(square, gram, packed_gram);  // A², as A is symmetric
    for (int64_t i = 0; i < r * r; ++i)
      square.as<float>()[i] = k.b * gram.as<float>()[i] + k.c * square.as<float>()[i];
    const PackedMatrix columns_of_x = packed_view(scratch.packed, compute_, c, r);
    pack_transposed(columns_of_x, x);
    matmul(next, square, columns_of_x);  // (bA + cA²)X
    for (int64_t i = 0; i < r * c; ++i)
      x.as<float>()[i] = k.a * x.as<float>()[i] + next.as<float>()[i];
  }
}

}  // namespace minke
