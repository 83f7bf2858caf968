#include <algorithm>
#include <cstring>

#include "base/threads.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_block.h"

namespace minke::cpu {
namespace {

struct Arguments {
  const Tensor& dq;
  const AttentionKeys& dkeys;
  const Tensor &dk_rope, &dout, &out, &lse, &q;
  const AttentionKeys& keys;
  float scale;
};

// One task: a key head of a sequence with all queries that read it. For each block of keys, then
// each head of the group, then each block of queries that sees the keys:
//   S = Q·Kᵀ, dP = dO·Vᵀ, P and dS from them, dV += Pᵀ·dO, dK += dSᵀ·Q, dQ += dS·K
// dQ stays in f32 for all queries until the last block of keys.
class KeyHead {
 public:
  KeyHead(const Arithmetic& math, const AttentionShape& shape, const Arguments& arguments,
          const AttentionSequence& sequence, int64_t key_head)
      : math_(math), shape_(shape), x_(arguments), s_(sequence), key_head_(key_head) {
    queries_ = s_.query_end - s_.query_begin;
    before_ = s_.key_end - s_.key_begin - queries_;
    row_ = math.bytes(shape.width);
    dk_row_ = round_up(shape.width, panel_width);
    dv_row_ = round_up(shape.v_dim, panel_width);
    dout_row_ = math.bytes(math.padded(shape.v_dim));
    dq_ = float_scratch(sums_of_rows_slot, queries_ * shape.group * dk_row_);
    dk_ = float_scratch(dk_slot, key_block * dk_row_);
    dv_ = float_scratch(dv_slot, key_block * dv_row_);
    scores_ = float_scratch(scores_slot, row_block * key_block);
    dscores_ = float_scratch(dscores_slot, row_block * key_block);
    p_ = scratch(p_slot, row_block * math.bytes(key_block));
    ds_ = scratch(ds_slot, row_block * math.bytes(key_block));
    query_rows_ = scratch(query_slot, row_block * row_);
    dout_rows_ = scratch(dout_slot, row_block * dout_row_);
    const int64_t inner = std::max(key_block, row_block);
    const int64_t widest = std::max({key_block, dk_row_, dv_row_});
    left_ = scratch(left_operand_slot, left_bytes(transposed_, inner, widest));
    right_ = scratch(right_operand_slot, right_bytes(transposed_, inner, widest));
  }

  void run() {
    row_statistics();
    const int64_t keys = s_.key_end - s_.key_begin;
    for (int64_t begin = 0; begin < keys; begin += key_block)
      add_keys(begin, std::min(key_block, keys - begin));
    for (int64_t g = 0; g < shape_.group; ++g)
      for (int64_t i = 0; i < queries_; ++i) {
        char* out = address(x_.dq, s_.query_begin + i, head(g));
        const float* row = dq_ + (g * queries_ + i) * dk_row_;
        convert(out, row, shape_.nope);
        convert(out + math_.bytes(shape_.nope), row + shape_.nope_padded, shape_.rope);
      }
  }

 private:
  int64_t head(int64_t g) const { return key_head_ * shape_.group + g; }

  void convert(char* out, const float* row, int64_t count) const {
    convert_row(math_.k, out, math_.dtype, reinterpret_cast<const char*>(row), DType::f32, count);
  }

  // lse and D of every row, by head.
  void row_statistics() {
    const int64_t rows = shape_.group * queries_;
    lse_ = float_scratch(statistics_slot, 2 * rows);
    d_ = lse_ + rows;
    for (int64_t g = 0; g < shape_.group; ++g)
      for (int64_t i = 0; i < queries_; ++i) {
        const int64_t query = s_.query_begin + i, r = g * queries_ + i;
        lse_[r] = *reinterpret_cast<const float*>(address(x_.lse, query, head(g)));
        const char *a = address(x_.dout, query, head(g)), *b = address(x_.out, query, head(g));
        prefetch(address(x_.dout, query + rows_ahead, head(g)), math_.bytes(shape_.v_dim));
        prefetch(address(x_.out, query + rows_ahead, head(g)), math_.bytes(shape_.v_dim));
        d_[r] = math_.dtype == DType::bf16
                    ? math_.k.dot_bf16(reinterpret_cast<const uint16_t*>(a),
                                       reinterpret_cast<const uint16_t*>(b), shape_.v_dim)
                    : math_.k.dot_f32(reinterpret_cast<const float*>(a),
                                      reinterpret_cast<const float*>(b), shape_.v_dim);
      }
  }

  void add_keys(int64_t begin, int64_t count) {
    key_begin_ = begin;
    key_count_ = count;
    const int64_t first_key = s_.key_begin + begin;
    const char* rows = gather_keys(math_, shape_, x_.keys, s_, first_key, count, key_head_);
    right_from_rows(math_, score_, scratch(key_panels_slot, key_block * row_), rows, row_, count,
                    shape_.width);
    char* values = scratch(value_panels_slot, key_block * dout_row_);
    right_from_rows(math_, dp_, values, address(x_.keys.v, first_key, key_head_),
                    math_.bytes(x_.keys.v.stride[0]), count, shape_.v_dim);
    char* columns = scratch(key_columns_slot, right_bytes(math_, key_block, shape_.width));
    right_from_columns(math_, dq_product_, columns, rows, row_, count, shape_.width);
    std::memset(dk_, 0, key_block * dk_row_ * 4);
    std::memset(dv_, 0, key_block * dv_row_ * 4);
    const int64_t first_query = std::max<int64_t>(0, begin - before_) / row_block * row_block;
    for (int64_t g = 0; g < shape_.group; ++g) {
      for (int64_t i = first_query; i < queries_; i += row_block)
        add_queries(g, i, std::min(row_block, queries_ - i));
      write_rope(g);
    }
    for (int64_t j = 0; j < count; ++j) {
      convert(address(x_.dkeys.k, first_key + j, key_head_), dk_ + j * dk_row_, shape_.nope);
      convert(address(x_.dkeys.v, first_key + j, key_head_), dv_ + j * dv_row_, shape_.v_dim);
    }
  }

  // The rope part of dk is each head's own.
  void write_rope(int64_t g) {
    for (int64_t j = 0; j < key_count_ && shape_.rope > 0; ++j) {
      float* rope = dk_ + j * dk_row_ + shape_.nope_padded;
      convert(address(x_.dk_rope, s_.key_begin + key_begin_ + j, head(g)), rope, shape_.rope);
      std::memset(rope, 0, shape_.rope * 4);
    }
  }

  void add_queries(int64_t g, int64_t first, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t query = s_.query_begin + first + r;
      copy_query(math_, shape_, query_rows_ + r * row_, x_.q, query, head(g));
      char* dout = dout_rows_ + r * dout_row_;
      prefetch(address(x_.dout, query + rows_ahead, head(g)), math_.bytes(shape_.v_dim));
      std::memcpy(dout, address(x_.dout, query, head(g)), math_.bytes(shape_.v_dim));
      std::memset(dout + math_.bytes(shape_.v_dim), 0, dout_row_ - math_.bytes(shape_.v_dim));
    }
    // Keys that none of the rows sees have no part in any of the products.
    const int64_t count = std::min(key_count_, before_ + first + rows - key_begin_);
    multiply_rows(score_, query_rows_, row_, rows, count, scores_);
    multiply_rows(dp_, dout_rows_, dout_row_, rows, count, dscores_);
    differentiate_softmax(g * queries_ + first, first, rows, count);

    multiply_transposed(p_, count, dout_rows_, dout_row_, rows, shape_.v_dim, dv_, dv_row_);
    multiply_transposed(ds_, count, query_rows_, row_, rows, shape_.width, dk_, dk_row_);
    dq_product_.rows = rows;
    dq_product_.steps = math_.steps(count);
    dq_product_.a = ds_;
    dq_product_.a_row = math_.bytes(key_block);
    dq_product_.a_step = 4;
    dq_product_.c = dq_ + (g * queries_ + first) * dk_row_;
    dq_product_.c_row = dk_row_;
    dq_product_.load = key_begin_ > 0;  // every query sees the first block
    math_.multiply(dq_product_);
  }

  // scores = rows of a times the first `count` keys of a packed right operand.
  void multiply_rows(Product& product, const char* a, int64_t a_row, int64_t rows, int64_t count,
                     float* scores) {
    product.rows = rows;
    product.panels = round_up(count, panel_width) / panel_width;
    product.a = a;
    product.a_row = a_row;
    product.a_step = 4;
    product.c = scores;
    product.c_row = key_block;
    math_.multiply(product);
  }

  void differentiate_softmax(int64_t row, int64_t first, int64_t rows, int64_t count) {
    int32_t visible[row_block];
    for (int64_t r = 0; r < rows; ++r)
      visible[r] =
          static_cast<int32_t>(std::clamp<int64_t>(before_ + first + r + 1 - key_begin_, 0, count));
    const Scores scores{rows,
                        round_up(count, 32),
                        scores_,
                        key_block,
                        visible,
                        x_.scale,
                        p_,
                        math_.bytes(key_block),
                        math_.dtype == DType::bf16};
    math_.k.softmax_backward(scores, dscores_, lse_ + row, d_ + row, ds_);
  }

  // sums [count, columns] += pᵀ·b, p [rows, count] and b [rows, columns] row-major.
  void multiply_transposed(const char* p, int64_t count, const char* b, int64_t b_row, int64_t rows,
                           int64_t columns, float* sums, int64_t sums_row) {
    Product product{};
    left_from_columns(transposed_, product, left_, p, math_.bytes(key_block), rows, count);
    right_from_columns(transposed_, product, right_, b, b_row, rows, columns);
    product.c = sums;
    product.c_row = sums_row;
    product.load = true;
    transposed_.multiply(product);
  }

  const Arithmetic& math_;
  const Arithmetic transposed_ = Arithmetic::of_rows(math_.dtype);  // of Pᵀ·dO and dSᵀ·Q
  const AttentionShape& shape_;
  const Arguments& x_;
  const AttentionSequence& s_;
  int64_t key_head_, queries_, before_;  // before_: keys that even the first query has before it
  int64_t row_, dk_row_, dv_row_, dout_row_;
  int64_t key_begin_ = 0, key_count_ = 0;
  float *dq_, *dk_, *dv_, *scores_, *dscores_, *lse_ = nullptr, *d_ = nullptr;
  char *p_, *ds_, *query_rows_, *dout_rows_, *left_, *right_;
  Product score_{}, dp_{}, dq_product_{};
};

}  // namespace

void attention_backward(const Tensor& dq, const AttentionKeys& dkeys, const Tensor& dk_rope,
                        const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                        const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                        float scale) {
  const Arithmetic math(q.dtype);
  const AttentionShape shape(math, q, keys);
  const Arguments arguments{dq, dkeys, dk_rope, dout, out, lse, q, keys, scale};
  const int64_t tasks = static_cast<int64_t>(sequences.size()) * shape.key_heads;
  parallel_for(tasks, [&](int64_t task) {
    KeyHead(math, shape, arguments, sequences[task / shape.key_heads], task % shape.key_heads)
        .run();
  });
}

}  // namespace minke::cpu
