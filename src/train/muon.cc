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

Tensor matrix_view(const Tensor& flat, int64_t rows, int64_t columns) {
  return Tensor(flat.data, flat.dtype, {rows, columns}, flat.device);
}

// to = from, transposed: [rows, columns] to [columns, rows]. In tiles, so that both stay in cache
// lines.
void transpose(float* to, const float* from, int64_t rows, int64_t columns) {
  constexpr int64_t tile = 16;
  for (int64_t i0 = 0; i0 < rows; i0 += tile)
    for (int64_t j0 = 0; j0 < columns; j0 += tile)
      for (int64_t i = i0; i < std::min(rows, i0 + tile); ++i)
        for (int64_t j = j0; j < std::min(columns, j0 + tile); ++j)
          to[j * rows + i] = from[i * columns + j];
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
      steps_(config.muon_steps),
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
    scratch_.push_back(
        {arena.allocate(DType::f32, {elements}), arena.allocate(DType::f32, {elements}),
         arena.allocate(DType::f32, {elements}), arena.allocate(DType::f32, {square}),
         arena.allocate(DType::f32, {square}), arena.allocate(DType::bf16, {packed / 2})});
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
  const Tensor kept = scratch.x_next.slice_rows(0, size);  // the momentum, as f32
  const Tensor momentum_row = part(momentum).reshape({1, size});
  convert(kept.reshape({1, size}), momentum_row);
  const float mu = static_cast<float>(momentum_);
  blend(kept, mu, part(gradients), gradient_scale);
  convert(momentum_row, kept.reshape({1, size}));

  const bool tall = rows > columns;
  const Tensor update = (tall ? scratch.update : scratch.x).slice_rows(0, size);
  convert(update.reshape({1, size}), part(gradients).reshape({1, size}));
  blend(update, gradient_scale, kept, mu);
  if (tall) transpose(scratch.x.as<float>(), update.as<float>(), rows, columns);
  orthogonalize(scratch, std::min(rows, columns), std::max(rows, columns));
  if (tall) transpose(update.as<float>(), scratch.x.as<float>(), columns, rows);

  const double rate = learning_rate_ * factor;
  const double scale = rate * 0.18 * std::sqrt(static_cast<double>(std::max(rows, columns)));
  blend(part(weights), static_cast<float>(1 - rate * weight_decay_), update,
        static_cast<float>(-scale));
}

// X in scratch.x, [r, c] with r ≤ c, is replaced by the nearest orthogonal matrix.
void Muon::orthogonalize(const Scratch& scratch, int64_t r, int64_t c) const {
  const Tensor x = matrix_view(scratch.x, r, c), next = matrix_view(scratch.x_next, r, c);
  const Tensor gram = matrix_view(scratch.gram, r, r), square = matrix_view(scratch.square, r, r);
  const double norm = std::sqrt(sum_of_squares(x.reshape({r * c})));
  blend(x, static_cast<float>(1.0 / (norm + 1e-20)), x, 0.0f);
  for (int64_t step = 0; step < steps_; ++step) {
    const Coefficients k = step < steps_ - steps_ / 5 ? fast_step : exact_step;
    const PackedMatrix rows_of_x = packed_view(scratch.packed, compute_, r, c);
    pack(rows_of_x, x);
    matmul(gram, x, rows_of_x);  // A = XXᵀ
    const PackedMatrix packed_gram = packed_view(scratch.packed, compute_, r, r);
    pack(packed_gram, gram);
    matmul(square, gram, packed_gram);  // A², as A is symmetric
    blend(square, k.c, gram, k.b);
    const PackedMatrix columns_of_x = packed_view(scratch.packed, compute_, c, r);
    pack_transposed(columns_of_x, x);
    matmul(next, square, columns_of_x);  // (bA + cA²)X
    blend(x, k.a, next, 1.0f);
  }
}

}  // namespace minke
