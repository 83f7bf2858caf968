#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_block.h"

namespace minke::cpu {
namespace {

constexpr int64_t max_task_rows = 8 * row_block;

// Rows of one task. A task packs its keys once for all its rows, so more rows are better, as long
// as their sums stay in the cache.
int64_t rows_of_task(const AttentionShape& shape) {
  return shape.v_dim <= 128 ? max_task_rows : 2 * row_block;
}

// One task: rows, a row being a query and one of the heads that share the key head, against all
// keys that they see.
class Rows {
 public:
  Rows(const Arithmetic& math, const AttentionShape& shape, const AttentionSequence& sequence,
       int64_t key_head, int64_t first_row)
      : math_(math), shape_(shape), s_(sequence), key_head_(key_head), first_(first_row) {
    const int64_t all = (s_.query_end - s_.query_begin) * shape.group;
    rows_ = std::min(rows_of_task(shape), all - first_);
    row_bytes_ = math.bytes(shape.width);
    out_row_ = round_up(shape.v_dim, panel_width);
    out_ = float_scratch(sums_of_rows_slot, rows_ * out_row_);
    queries_ = scratch(query_slot, rows_ * row_bytes_);
    scores_ = float_scratch(scores_slot, row_block * key_block);
    p_ = math.dtype == DType::f32 ? reinterpret_cast<char*>(scores_)
                                  : scratch(p_slot, row_block * math.bytes(key_block));
    std::fill_n(maximum_, rows_, -std::numeric_limits<float>::infinity());
    std::fill_n(total_, rows_, 0.0f);
  }

  void run(const Tensor& q, const AttentionKeys& keys, float scale) {
    for (int64_t r = 0; r < rows_; ++r)
      copy_query(math_, shape_, queries_ + r * row_bytes_, q, query(r), head(r));
    const int64_t seen = keys_seen(rows_ - 1);
    for (int64_t begin = 0; begin < seen; begin += key_block) {
      pack_keys(keys, begin, std::min(key_block, seen - begin));
      for (int64_t row = 0; row < rows_; row += row_block)
        add_keys(row, std::min(row_block, rows_ - row), begin, scale);
    }
  }

  void write(const Tensor& out, const Tensor& lse) {
    for (int64_t r = 0; r < rows_; ++r) {
      const float factor = 1 / total_[r];
      math_.k.scale_rows(out_ + r * out_row_, out_row_, 1, shape_.v_dim, &factor);
      convert_row(math_.k, address(out, query(r), head(r)), out.dtype,
                  reinterpret_cast<const char*>(out_ + r * out_row_), DType::f32, shape_.v_dim);
      if (lse)
        *reinterpret_cast<float*>(address(lse, query(r), head(r))) =
            maximum_[r] + std::log(total_[r]);
    }
  }

 private:
  int64_t query(int64_t r) const { return s_.query_begin + (first_ + r) / shape_.group; }
  int64_t head(int64_t r) const { return key_head_ * shape_.group + (first_ + r) % shape_.group; }
  int64_t keys_seen(int64_t r) const {
    return s_.key_end - s_.key_begin - s_.query_end + query(r) + 1;
  }

  // The keys from `begin` on, counted from the sequence's first.
  void pack_keys(const AttentionKeys& keys, int64_t begin, int64_t count) {
    const char* rows = gather_keys(math_, shape_, keys, s_.key_begin + begin, count, key_head_);
    right_from_rows(math_, score_, scratch(key_panels_slot, key_block * row_bytes_), rows,
                    row_bytes_, count, shape_.width);
    char* values = scratch(value_panels_slot, right_bytes(math_, key_block, shape_.v_dim));
    right_from_columns(math_, weighted_, values, address(keys.v, s_.key_begin + begin, key_head_),
                       math_.bytes(keys.v.stride[0]), count, shape_.v_dim);
  }

  // Those keys for `rows` rows from `row` on. A key that none of them sees would add exact zeros,
  // so leaving it out changes no bit.
  void add_keys(int64_t row, int64_t rows, int64_t begin, float scale) {
    const int64_t count = std::min(key_block, keys_seen(row + rows - 1) - begin);
    if (count <= 0) return;
    int32_t visible[row_block];
    for (int64_t r = 0; r < rows; ++r)
      visible[r] = static_cast<int32_t>(std::clamp<int64_t>(keys_seen(row + r) - begin, 0, count));

    score_.rows = rows;
    score_.panels = round_up(count, panel_width) / panel_width;
    score_.a = queries_ + row * row_bytes_;
    score_.a_row = row_bytes_;
    score_.a_step = 4;
    score_.c = scores_;
    score_.c_row = key_block;
    math_.multiply(score_);

    const int64_t p_row = math_.bytes(key_block);
    const Scores scores{rows,  round_up(count, 32),       scores_, key_block, visible, scale, p_,
                        p_row, math_.dtype == DType::bf16};
    float factor[row_block];
    math_.k.softmax(scores, maximum_ + row, total_ + row, factor);
    float* out = out_ + row * out_row_;
    if (begin > 0) math_.k.scale_rows(out, out_row_, rows, shape_.v_dim, factor);

    weighted_.rows = rows;
    weighted_.steps = math_.steps(count);
    weighted_.a = p_;
    weighted_.a_row = p_row;
    weighted_.a_step = 4;
    weighted_.c = out;
    weighted_.c_row = out_row_;
    weighted_.load = begin > 0;
    math_.multiply(weighted_);
  }

  const Arithmetic& math_;
  const AttentionShape& shape_;
  const AttentionSequence& s_;
  int64_t key_head_, first_, rows_, row_bytes_, out_row_;
  char *queries_, *p_;
  float *out_, *scores_;
  float maximum_[max_task_rows], total_[max_task_rows];
  Product score_{}, weighted_{};
};

struct Task {
  int64_t sequence, key_head, first_row;
};

// The last rows of a sequence see the most keys: they come first, so that threads end together.
std::vector<Task> tasks_of(const AttentionShape& shape,
                           std::span<const AttentionSequence> sequences) {
  std::vector<Task> tasks;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int64_t rows = (sequences[i].query_end - sequences[i].query_begin) * shape.group;
    const int64_t step = rows_of_task(shape);
    for (int64_t first = (rows - 1) / step * step; rows > 0 && first >= 0; first -= step)
      for (int64_t head = 0; head < shape.key_heads; ++head)
        tasks.push_back({static_cast<int64_t>(i), head, first});
  }
  return tasks;
}

}  // namespace

void attention_forward(const Tensor& out, const Tensor& lse, const Tensor& q,
                       const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                       float scale) {
  const Arithmetic math(q.dtype);
  const AttentionShape shape(math, q, keys);
  const std::vector<Task> tasks = tasks_of(shape, sequences);
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t index) {
    const Task& task = tasks[index];
    Rows rows(math, shape, sequences[task.sequence], task.key_head, task.first_row);
    rows.run(q, keys, scale);
    rows.write(out, lse);
  });
}

}  // namespace minke::cpu
