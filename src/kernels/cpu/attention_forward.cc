#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_block.h"

namespace minke::cpu {
namespace {

constexpr int64_t max_task_rows = 8 * row_block;
// Keys whose sums are taken together. The parts of longer sequences are joined in order, so that
// threads may share the keys of one query; a whole number of blocks.
constexpr int64_t key_part = 1024;

// Rows of one task. A task packs its keys once for all its rows, so more rows are better, as long
// as their sums stay in the cache.
int64_t rows_of_task(const AttentionShape& shape) {
  return shape.v_dim <= 128 ? max_task_rows : 2 * row_block;
}

// Softmax over some keys for each of some rows: the sums so far, not yet divided by `total`.
struct Sums {
  float* maximum;  // [rows]
  float* total;    // [rows]
  float* out;      // [rows, out_row]
};

// into ← the sums over the keys of both, for one row of `width` numbers.
void join(float& maximum, float& total, float* out, float other_maximum, float other_total,
          const float* other, int64_t width) {
  const float highest = std::max(maximum, other_maximum);
  const float mine = std::exp(maximum - highest), others = std::exp(other_maximum - highest);
  for (int64_t i = 0; i < width; ++i) out[i] = out[i] * mine + other[i] * others;
  total = total * mine + other_total * others;
  maximum = highest;
}

// One task: rows, a row being a query and one of the heads that share the key head, against parts
// of the keys that they see.
class Rows {
 public:
  Rows(const Arithmetic& math, const AttentionShape& shape, const AttentionSequence& sequence,
       int64_t key_head, int64_t first_row)
      : math_(math), shape_(shape), s_(sequence), key_head_(key_head), first_(first_row) {
    const int64_t all = (s_.query_end - s_.query_begin) * shape.group;
    rows_ = std::min(rows_of_task(shape), all - first_);
    row_bytes_ = math.bytes(shape.width);
    out_row_ = round_up(shape.v_dim, panel_width);
    out_ = float_scratch(sums_of_rows_slot, 2 * rows_ * out_row_);
    joined_ = out_ + rows_ * out_row_;
    queries_ = scratch(query_slot, rows_ * row_bytes_);
    scores_ = float_scratch(scores_slot, row_block * key_block);
    p_ = math.dtype == DType::f32 ? reinterpret_cast<char*>(scores_)
                                  : scratch(p_slot, row_block * math.bytes(key_block));
  }

  int64_t parts() const { return (keys_seen(rows_ - 1) + key_part - 1) / key_part; }

  void load_queries(const Tensor& q) {
    for (int64_t r = 0; r < rows_; ++r)
      copy_query(math_, shape_, queries_ + r * row_bytes_, q, query(r), head(r));
    if (turned())
      right_from_rows(math_, score_, scratch(query_panels_slot, row_block * row_bytes_), queries_,
                      row_bytes_, rows_, shape_.width);
  }

  // The sums over one part of the keys.
  void run_part(const AttentionKeys& keys, int64_t part, float scale) {
    std::fill_n(maximum_, rows_, -std::numeric_limits<float>::infinity());
    std::fill_n(total_, rows_, 0.0f);
    part_begin_ = part * key_part;
    const int64_t end = std::min(part_begin_ + key_part, keys_seen(rows_ - 1));
    for (int64_t begin = part_begin_; begin < end; begin += key_block) {
      pack_keys(keys, begin, std::min(key_block, end - begin));
      for (int64_t row = 0; row < rows_; row += row_block)
        add_keys(keys, row, std::min(row_block, rows_ - row), begin, scale);
    }
  }

  // All parts, one after the other.
  void run(const AttentionKeys& keys, float scale) {
    for (int64_t part = 0; part < parts(); ++part) {
      run_part(keys, part, scale);
      if (part + 1 == parts() && part == 0) return;
      join_part(part, {maximum_, total_, out_});
    }
    take_joined();
  }

  // The sums of the part that ran last, for join_part() of another object.
  void copy_sums(const Sums& to) const {
    std::copy_n(maximum_, rows_, to.maximum);
    std::copy_n(total_, rows_, to.total);
    std::copy_n(out_, rows_ * out_row_, to.out);
  }

  // Adds the sums of a part; parts come in order.
  void join_part(int64_t part, const Sums& sums) {
    for (int64_t r = 0; r < rows_; ++r) {
      const float* from = sums.out + r * out_row_;
      if (keys_seen(r) <= part * key_part) continue;
      if (part == 0) {
        joined_maximum_[r] = sums.maximum[r];
        joined_total_[r] = sums.total[r];
        std::copy_n(from, out_row_, joined_ + r * out_row_);
      } else {
        join(joined_maximum_[r], joined_total_[r], joined_ + r * out_row_, sums.maximum[r],
             sums.total[r], from, shape_.v_dim);
      }
    }
  }

  void take_joined() {
    std::copy_n(joined_maximum_, rows_, maximum_);
    std::copy_n(joined_total_, rows_, total_);
    std::swap(out_, joined_);
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

  // f32 numbers of a part's sums.
  int64_t sums_size() const { return rows_ * (out_row_ + 2); }
  Sums sums_at(float* block) const { return {block, block + rows_, block + 2 * rows_}; }

 private:
  int64_t query(int64_t r) const { return s_.query_begin + (first_ + r) / shape_.group; }
  int64_t head(int64_t r) const { return key_head_ * shape_.group + (first_ + r) % shape_.group; }
  int64_t keys_seen(int64_t r) const {
    return s_.key_end - s_.key_begin - s_.query_end + query(r) + 1;
  }

  // Packing the keys pays when many rows use them. For few rows the product is turned around,
  // Sᵀ = K·Qᵀ, whose left operand the keys are as they lie. Each score is the same sum in the same
  // order, so this changes no bit.
  bool turned() const { return rows_ <= row_block; }

  // Whether a key's row lies in memory as the products take it.
  bool keys_are_rows(const AttentionKeys& keys) const {
    return shape_.width == shape_.nope + shape_.rope &&
           (shape_.rope == 0 || (keys.k_rope.stride[0] == keys.k.stride[0] &&
                                 address(keys.k_rope, 0, 0) ==
                                     address(keys.k, 0, key_head_) + math_.bytes(shape_.nope)));
  }

  // Scores of all rows by `count` keys from `begin` on.
  void multiply_turned(const AttentionKeys& keys, int64_t begin, int64_t count) {
    const int64_t first = s_.key_begin + begin, columns = round_up(rows_, panel_width);
    float* turned_scores = float_scratch(turned_scores_slot, key_block * columns);
    const bool in_place = keys_are_rows(keys);
    const char* rows =
        in_place ? nullptr : gather_keys(math_, shape_, keys, s_, first, count, key_head_);
    for (int64_t key = 0; key < count; key += score_.rows) {
      const int64_t page_end = attention_page - (first + key) % attention_page;
      score_.rows = in_place && s_.pages ? std::min(page_end, count - key) : count - key;
      score_.a =
          in_place ? address(keys.k, s_.key_row(first + key), key_head_) : rows + key * row_bytes_;
      score_.a_row = in_place ? math_.bytes(keys.k.stride[0]) : row_bytes_;
      score_.a_step = 4;
      score_.c = turned_scores + key * columns;
      score_.c_row = columns;
      math_.multiply(score_);
    }
    math_.k.transpose(reinterpret_cast<char*>(scores_), key_block * 4,
                      reinterpret_cast<const char*>(turned_scores), columns * 4, count, rows_);
  }

  // The keys from `begin` on, counted from the sequence's first.
  void pack_keys(const AttentionKeys& keys, int64_t begin, int64_t count) {
    const int64_t first = s_.key_begin + begin;
    if (turned()) return multiply_turned(keys, begin, count);
    const char* rows = gather_keys(math_, shape_, keys, s_, first, count, key_head_);
    right_from_rows(math_, score_, scratch(key_panels_slot, key_block * row_bytes_), rows,
                    row_bytes_, count, shape_.width);
    char* values = scratch(value_panels_slot, right_bytes(math_, key_block, shape_.v_dim));
    int64_t value_row = math_.bytes(keys.v.stride[0]);
    const char* value = address(keys.v, s_.key_row(first), key_head_);
    if (s_.pages) value = gather_values(keys, first, count, value_row);
    right_from_columns(math_, weighted_, values, value, value_row, count, shape_.v_dim);
  }

  // Values whose pages do not lie one after the other, as rows in scratch.
  const char* gather_values(const AttentionKeys& keys, int64_t first, int64_t count,
                            int64_t& value_row) {
    const char* begin = address(keys.v, s_.key_row(first), key_head_);
    if (s_.key_row(first + count - 1) == s_.key_row(first) + count - 1) return begin;
    value_row = math_.bytes(shape_.v_dim);
    char* out = scratch(value_rows_slot, key_block * value_row);
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(out + i * value_row, address(keys.v, s_.key_row(first + i), key_head_),
                  static_cast<size_t>(value_row));
    return out;
  }

  // Those keys for `rows` rows from `row` on. A key that none of them sees would add exact zeros,
  // so leaving it out changes no bit.
  void add_keys(const AttentionKeys& keys, int64_t row, int64_t rows, int64_t begin, float scale) {
    const int64_t count = std::min(key_block, keys_seen(row + rows - 1) - begin);
    if (count <= 0) return;
    int32_t visible[row_block];
    for (int64_t r = 0; r < rows; ++r)
      visible[r] = static_cast<int32_t>(std::clamp<int64_t>(keys_seen(row + r) - begin, 0, count));

    if (!turned()) {
      score_.rows = rows;
      score_.panels = round_up(count, panel_width) / panel_width;
      score_.a = queries_ + row * row_bytes_;
      score_.a_row = row_bytes_;
      score_.a_step = 4;
      score_.c = scores_;
      score_.c_row = key_block;
      math_.multiply(score_);
    }

    const int64_t p_row = math_.bytes(key_block);
    const Scores scores{rows,  round_up(count, 32),       scores_, key_block, visible, scale, p_,
                        p_row, math_.dtype == DType::bf16};
    float factor[row_block];
    math_.k.softmax(scores, maximum_ + row, total_ + row, factor);
    float* out = out_ + row * out_row_;
    const bool more = begin > part_begin_;
    if (more) math_.k.scale_rows(out, out_row_, rows, shape_.v_dim, factor);

    weighted_.rows = rows;
    weighted_.steps = math_.steps(count);
    weighted_.a = p_;
    weighted_.a_row = p_row;
    weighted_.a_step = 4;
    weighted_.c = out;
    weighted_.c_row = out_row_;
    weighted_.load = more;
    if (turned())
      multiply_values(keys, s_.key_begin + begin, count);
    else
      math_.multiply(weighted_);
  }

  // For few rows: values are packed some columns at a time, which the first cache holds, and as far
  // as pages lie one after the other, so that none are copied before.
  void multiply_values(const AttentionKeys& keys, int64_t first, int64_t count) {
    constexpr int64_t columns = 4 * panel_width;
    char* panels = scratch(value_panels_slot, right_bytes(math_, key_block, columns));
    float* out = weighted_.c;
    for (int64_t key = 0, run = 0; key < count; key += run, weighted_.load = true) {
      run = std::min(count - key, run_of_pages(first + key));
      const char* values = address(keys.v, s_.key_row(first + key), key_head_);
      weighted_.a = p_ + math_.bytes(key);
      weighted_.steps = math_.steps(run);
      for (int64_t column = 0; column < shape_.v_dim; column += columns) {
        right_from_columns(math_, weighted_, panels, values + math_.bytes(column),
                           math_.bytes(keys.v.stride[0]), run,
                           std::min(columns, shape_.v_dim - column));
        weighted_.c = out + column;
        math_.multiply(weighted_);
      }
    }
  }

  // How many keys from `first` on lie in rows one after the other, a block's at most.
  int64_t run_of_pages(int64_t first) const {
    if (!s_.pages) return key_block;
    int64_t run = attention_page - first % attention_page;
    while (run < key_block && first + run < s_.key_end &&
           s_.key_row(first + run) == s_.key_row(first) + run)
      run += attention_page;
    return run;
  }

  const Arithmetic& math_;
  const AttentionShape& shape_;
  const AttentionSequence& s_;
  int64_t key_head_, first_, rows_, row_bytes_, out_row_, part_begin_ = 0;
  char *queries_, *p_;
  float *out_, *joined_, *scores_;
  float maximum_[max_task_rows], total_[max_task_rows];
  float joined_maximum_[max_task_rows], joined_total_[max_task_rows];
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

// Few queries on many keys: every part of the keys is a task of its own.
void attend_in_parts(const std::vector<Task>& tasks,
                     const std::function<Rows(const Task&)>& rows_of, const Tensor& out,
                     const Tensor& lse, const Tensor& q, const AttentionKeys& keys, float scale) {
  std::vector<int64_t> first_part = {0}, first_float = {0};
  for (const Task& task : tasks) {
    const Rows rows = rows_of(task);
    first_part.push_back(first_part.back() + rows.parts());
    first_float.push_back(first_float.back() + rows.parts() * rows.sums_size());
  }
  std::vector<float> sums(static_cast<size_t>(first_float.back()));
  const auto block = [&](size_t task, int64_t part, const Rows& rows) {
    return rows.sums_at(sums.data() + first_float[task] + part * rows.sums_size());
  };
  parallel_for(first_part.back(), [&](int64_t index) {
    const size_t task =
        std::upper_bound(first_part.begin(), first_part.end(), index) - first_part.begin() - 1;
    Rows rows = rows_of(tasks[task]);
    rows.load_queries(q);
    rows.run_part(keys, index - first_part[task], scale);
    rows.copy_sums(block(task, index - first_part[task], rows));
  });
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t task) {
    Rows rows = rows_of(tasks[task]);
    for (int64_t part = 0; part < rows.parts(); ++part)
      rows.join_part(part, block(static_cast<size_t>(task), part, rows));
    rows.take_joined();
    rows.write(out, lse);
  });
}

}  // namespace

void attention_forward(const Tensor& out, const Tensor& lse, const Tensor& q,
                       const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                       float scale) {
  const Arithmetic math(q.dtype);
  const AttentionShape shape(math, q, keys);
  const std::vector<Task> tasks = tasks_of(shape, sequences);
  const auto rows_of = [&](const Task& task) {
    return Rows(math, shape, sequences[task.sequence], task.key_head, task.first_row);
  };
  // Both ways join the same parts in the same order, so the choice changes no bit.
  constexpr int64_t enough = 4;  // tasks a thread, so that threads end together
  if (static_cast<int64_t>(tasks.size()) < enough * thread_count())
    return attend_in_parts(tasks, rows_of, out, lse, q, keys, scale);
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t index) {
    Rows rows = rows_of(tasks[index]);
    rows.load_queries(q);
    rows.run(keys, scale);
    rows.write(out, lse);
  });
}

}  // namespace minke::cpu
