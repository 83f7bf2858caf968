#pragma once
// Rows of numbers from stored matrices, and to a format of a file, a piece at a time.

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "tensor/block_format.h"

namespace minke {

// A matrix to be read row by row as f32: stored matrices of equal size one below the other, or
// whatever a function computes. Copyable; what the matrices point to must outlive it. Reading is
// thread-safe.
class RowSource {
 public:
  // order: if given, row r of the only matrix is row order[r] of `matrices[0]` as it is stored.
  explicit RowSource(std::vector<StoredMatrix> matrices, std::vector<int32_t> order = {});
  // read(begin, end, out) gives rows [begin, end), both multiples of `grain`.
  using Read = std::function<void(int64_t begin, int64_t end, float* out)>;
  RowSource(int64_t rows, int64_t columns, int64_t grain, Read read);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t grain() const { return grain_; }
  // True if every row is stored in this format, one of block_format.h that needs no scales beside
  // it.
  bool is_stored_as(BlockFormat format) const;

  // Rows [begin, end) as f32 [end − begin, columns()].
  void read(int64_t begin, int64_t end, float* out) const;
  // Their bytes; is_stored_as() tells when they can be had.
  void copy(int64_t begin, int64_t end, std::byte* out) const;

 private:
  std::vector<StoredMatrix> matrices_;
  std::shared_ptr<const std::vector<int32_t>> order_;
  int64_t rows_, columns_, grain_ = 1;
  Read read_;
};

// Σ over a tensor's elements.
struct SquaredError {
  double error = 0;   // (written − given)²
  double values = 0;  // given²

  double relative() const;  // √(error / values); 0 for a tensor of zeros that stays one
  void operator+=(const SquaredError& other) {
    error += other.error;
    values += other.values;
  }
};

// Writes all rows in `format`: write(bytes) gets them in order, called by this thread. Rows that
// are stored in the format already are copied. F8_E4M3 fills `scales`, f32 [ceil(rows / 128),
// ceil(columns / 128)]. Parallel; holds a few ten megabytes. The same result for any number of
// threads.
SquaredError quantize_rows(const RowSource& source, BlockFormat format,
                           const std::function<void(std::span<const std::byte>)>& write,
                           std::vector<float>& scales);

// By how much `written` differs from `given`, a matrix of the same size. Parallel.
SquaredError compare_rows(const RowSource& given, const RowSource& written);

}  // namespace minke
