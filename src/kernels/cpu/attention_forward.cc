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

// One task: up to row_block rows, a row being a query and one of the heads that share the key head,
// against all keys that they see.
class RowBlock {
 public:
  RowBlock(const Arithmetic& math, const AttentionShape& shape, const AttentionSequence& sequence,
           int64_t key_head, int64_t first_row)
      : math_(math), shape_(shape), s_(sequence), key_head_(key_head), first_(first_row) {
    const int64_t all = (s_.query_end - s_.query_begin) * shape.group;
    rows_ = std::min(row_block, all - first_);
    out_row_ = round_up(shape.v_dim, panel_width);
    out_ = float_scratch(sums_of_rows_slot, row_block * out_row_);
    scores_ = float_scratch(scores_slot, row_block * key_block);
    p_ = math.dtype == DType::f32 ? reinterpret_cast<char*>(scores_)
                                  : scratch(p_slot, row_block * math.bytes(key_block));
    std::fill_n(maximum_, rows_, -std::numeric_limits<float>::infinity());
    std::fill_n(total_, rows_, 0.0f);
  }

  void run(const Tensor& q, const AttentionKeys& keys, float scale) {
    queries_ = scratch(query_slot, row_block * math_.bytes(shape_.width));
    for (int64_t r = 0; r < rows_; ++r)
      copy_query(math_, shape_, queries_ + r * math_.bytes(shape_.width), q, query(r), head(r));
    const int64_t seen = keys_seen(rows_ - 1);
    for (int64_t begin = 0; begin < seen; begin += key_block)
      add_keys(keys, begin, std::min(key_block, seen - begin), scale);
  }

  void write(const Tensor& out, const Tensor& lse) {
    for (int64_t r = 0; r < rows_; ++r) factor_[r] = 1 / total_[r];
    math_.k.scale_rows(out_, out_row_, rows_, shape_.v_dim, factor_);
    for (int64_t r = 0; r < rows_; ++r) {
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

  // The keys from `begin` on, counted from the sequence's first. A key that no row of the block
  // sees would add exact zeros, so leaving it out changes no bit.
  void add_keys(const AttentionKeys& keys, int64_t begin, int64_t count, float scale) {
    int32_t visible[row_block];
    for (int64_t r = 0; r < rows_; ++r)
      visible[r] = static_cast<int32_t>(std::clamp<int64_t>(keys_seen(r) - begin, 0, count));

    Product score{};
    const char* rows = gather_keys(math_, shape_, keys, s_.key_begin + begin, count, key_head_);
    const int64_t row = math_.bytes(shape_.width);
    right_from_rows(math_, score, scratch(key_panels_slot, key_block * row), rows, row, count,
                    shape_.width);
    score.rows = rows_;
    score.a = queries_;
    score.a_row = row;
    score.a_step = 4;
    score.c = scores_;
    score.c_row = key_block;
    math_.multiply(score);

    const int64_t p_row = math_.bytes(key_block);
    const Scores scores{rows_, round_up(count, 32),       scores_, key_block, visible, scale, p_,
                        p_row, math_.dtype == DType::bf16};
    math_.k.softmax(scores, maximum_, total_, factor_);
    if (begin > 0) math_.k.scale_rows(out_, out_row_, rows_, shape_.v_dim, factor_);

    Product weighted{};
    char* values = scratch(value_panels_slot, right_bytes(math_, key_block, shape_.v_dim));
    right_from_columns(math_, weighted, values, address(keys.v, s_.key_begin + begin, key_head_),
                       math_.bytes(keys.v.stride[0]), count, shape_.v_dim);
    weighted.rows = rows_;
    weighted.steps = math_.steps(count);
    weighted.a = p_;
    weighted.a_row = p_row;
    weighted.a_step = 4;
    weighted.c = out_;
    weighted.c_row = out_row_;
    weighted.load = begin > 0;
    math_.multiply(weighted);
  }

  const Arithmetic& math_;
  const AttentionShape& shape_;
  const AttentionSequence& s_;
  int64_t key_head_, first_, rows_, out_row_;
  char *queries_ = nullptr, *p_;
  float *out_, *scores_;
  float maximum_[row_block], total_[row_block], factor_[row_block];
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
    for (int64_t first = (rows - 1) / row_block * row_block; rows > 0 && first >= 0;
         first -= row_block)
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
    RowBlock block(math, shape, sequences[task.sequence], task.key_head, task.first_row);
    block.run(q, keys, scale);
    block.write(out, lse);
  });
}

}  // namespace minke::cpu
