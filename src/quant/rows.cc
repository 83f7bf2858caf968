#include "quant/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"
#include "kernels/blocks.h"

namespace minke {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A task is about this many elements, and so many tasks are in memory at once. Both are fixed, so
// that sums have the same order for any number of threads.
constexpr int64_t task_elements = 1 << 16;
constexpr int64_t batch_tasks = 64;

int64_t rows_of_task(int64_t columns, int64_t grain) {
  return std::max<int64_t>(1, task_elements / std::max<int64_t>(1, columns * grain)) * grain;
}

void add_difference(const float* given, const float* written, int64_t count, SquaredError& sum) {
  for (int64_t i = 0; i < count; ++i) {
    const double difference = static_cast<double>(written[i]) - given[i];
    sum.error += difference * difference;
    sum.values += static_cast<double>(given[i]) * given[i];
  }
}

// One task's rows on their way.
struct Piece {
  std::vector<float> values, back;
  std::vector<std::byte> bytes;
  std::vector<float> scales;
  SquaredError error;
};

void quantize_f8_piece(int64_t rows, int64_t columns, Piece& piece) {
  const int64_t blocks = ceil_div(columns, f8_scale_block);
  piece.scales.resize(static_cast<size_t>(ceil_div(rows, f8_scale_block) * blocks));
  for (int64_t r = 0; r < rows; r += f8_scale_block)
    quantize_f8_rows(piece.values.data() + r * columns, std::min(f8_scale_block, rows - r), columns,
                     piece.bytes.data() + r * columns,
                     piece.scales.data() + r / f8_scale_block * blocks);
}

void quantize_piece(const RowSource& source, BlockFormat format, int64_t begin, int64_t end,
                    Piece& piece) {
  const int64_t rows = end - begin, columns = source.columns();
  const int64_t row_bytes = block_format_bytes(format, columns);
  piece.bytes.resize(static_cast<size_t>(rows * row_bytes));
  piece.error = {};
  if (source.is_stored_as(format)) return source.copy(begin, end, piece.bytes.data());
  piece.values.resize(static_cast<size_t>(rows * columns));
  source.read(begin, end, piece.values.data());
  StoredMatrix written{format, rows, columns, piece.bytes.data()};
  if (format == BlockFormat::f8_e4m3) {
    quantize_f8_piece(rows, columns, piece);
    written.scales = reinterpret_cast<const std::byte*>(piece.scales.data());
  } else {
    for (int64_t r = 0; r < rows; ++r)
      quantize_row(format, piece.values.data() + r * columns, columns,
                   piece.bytes.data() + r * row_bytes);
  }
  piece.back.resize(piece.values.size());
  dequantize_rows(written, 0, rows, piece.back.data());
  add_difference(piece.values.data(), piece.back.data(), rows * columns, piece.error);
}

}  // namespace

RowSource::RowSource(std::vector<StoredMatrix> matrices, std::vector<int32_t> order)
    : matrices_(std::move(matrices)) {
  require(!matrices_.empty(), "a source of rows without a matrix");
  columns_ = matrices_[0].columns;
  for (const StoredMatrix& m : matrices_)
    require(m.rows == matrices_[0].rows && m.columns == columns_, "matrices of different sizes");
  if (!order.empty()) {
    require(matrices_.size() == 1, "an order of the rows of several matrices");
    order_ = std::make_shared<const std::vector<int32_t>>(std::move(order));
    matrices_[0].row_order = order_->data();
    matrices_[0].rows = static_cast<int64_t>(order_->size());
  }
  rows_ = matrices_[0].rows * static_cast<int64_t>(matrices_.size());
}

RowSource::RowSource(int64_t rows, int64_t columns, int64_t grain, Read read)
    : rows_(rows), columns_(columns), grain_(grain), read_(std::move(read)) {}

bool RowSource::is_stored_as(BlockFormat format) const {
  return !read_ && format != BlockFormat::f8_e4m3 &&
         std::all_of(matrices_.begin(), matrices_.end(),
                     [&](const StoredMatrix& m) { return m.format == format; });
}

void RowSource::read(int64_t begin, int64_t end, float* out) const {
  if (read_) return read_(begin, end, out);
  const int64_t height = matrices_[0].rows;
  for (int64_t at = begin; at < end;) {
    const int64_t first = at % height, count = std::min(end - at, height - first);
    dequantize_rows(matrices_[at / height], first, first + count, out);
    at += count;
    out += count * columns_;
  }
}

void RowSource::copy(int64_t begin, int64_t end, std::byte* out) const {
  const int64_t height = matrices_[0].rows, bytes = matrices_[0].row_bytes();
  for (int64_t r = begin; r < end; ++r, out += bytes)
    std::memcpy(out, matrices_[r / height].row(r % height), static_cast<size_t>(bytes));
}

double SquaredError::relative() const {
  if (error == 0) return 0;
  return values > 0 ? std::sqrt(error / values) : INFINITY;
}

SquaredError quantize_rows(const RowSource& source, BlockFormat format,
                           const std::function<void(std::span<const std::byte>)>& write,
                           std::vector<float>& scales) {
  scales.clear();
  // Rows that share scales stay together.
  const int64_t shared = format == BlockFormat::f8_e4m3 ? f8_scale_block : 1;
  const int64_t height = rows_of_task(source.columns(), std::lcm(shared, source.grain()));
  const int64_t tasks = ceil_div(source.rows(), height);
  std::vector<Piece> pieces(static_cast<size_t>(std::min(tasks, batch_tasks)));
  SquaredError sum;
  for (int64_t first = 0; first < tasks; first += batch_tasks) {
    const int64_t count = std::min(batch_tasks, tasks - first);
    parallel_for(count, [&](int64_t i) {
      const int64_t begin = (first + i) * height;
      quantize_piece(source, format, begin, std::min(source.rows(), begin + height), pieces[i]);
    });
    for (int64_t i = 0; i < count; ++i) {
      write(pieces[i].bytes);
      scales.insert(scales.end(), pieces[i].scales.begin(), pieces[i].scales.end());
      sum += pieces[i].error;
    }
  }
  return sum;
}

SquaredError compare_rows(const RowSource& given, const RowSource& written) {
  require(given.rows() == written.rows() && given.columns() == written.columns(),
          "matrices of different sizes are compared");
  const int64_t height = rows_of_task(given.columns(), std::lcm(given.grain(), written.grain()));
  const int64_t tasks = ceil_div(given.rows(), height);
  std::vector<SquaredError> sums(static_cast<size_t>(tasks));
  parallel_for(tasks, [&](int64_t task) {
    const int64_t begin = task * height, end = std::min(given.rows(), begin + height);
    const auto size = static_cast<size_t>((end - begin) * given.columns());
    std::vector<float> one(size), other(size);
    given.read(begin, end, one.data());
    written.read(begin, end, other.data());
    add_difference(one.data(), other.data(), static_cast<int64_t>(size), sums[task]);
  });
  SquaredError sum;
  for (const SquaredError& part : sums) sum += part;
  return sum;
}

}  // namespace minke
