#include "kernels/ref/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ref/element.h"

namespace minke::ref {
namespace {

// Position of element d of (row, head).
int64_t at(const Tensor& t, int64_t row, int64_t head, int64_t d = 0) {
  return row * t.stride[0] + head * t.stride[1] + d;
}

// Element d of a key: the head's own part, then the part that all heads share.
float key_element(const AttentionKeys& keys, int64_t key, int64_t head, int64_t d) {
  const int64_t nope = keys.k.shape[2];
  return d < nope ? load(keys.k, at(keys.k, key, head, d))
                  : load(keys.k_rope, key * keys.k_rope.stride[0] + d - nope);
}

double score(const Tensor& q, int64_t query, int64_t head, const AttentionKeys& keys, int64_t key,
             int64_t key_head) {
  double sum = 0;
  for (int64_t d = 0; d < q.shape[2]; ++d)
    sum +=
        static_cast<double>(load(q, at(q, query, head, d))) * key_element(keys, key, key_head, d);
  return sum;
}

double dot(const Tensor& a, int64_t a_at, const Tensor& b, int64_t b_at, int64_t count) {
  double sum = 0;
  for (int64_t d = 0; d < count; ++d)
    sum += static_cast<double>(load(a, a_at + d)) * load(b, b_at + d);
  return sum;
}

// Keys that query `query` sees: [sequence.key_begin, the result).
int64_t visible_end(const AttentionSequence& s, int64_t query) {
  return s.key_end - s.query_end + query + 1;
}

void forward_row(const Tensor& out, const Tensor& lse, const Tensor& q, const AttentionKeys& keys,
                 const AttentionSequence& s, int64_t query, int64_t head, float scale) {
  const int64_t key_head = head / (q.shape[1] / keys.k.shape[1]);
  const int64_t count = visible_end(s, query) - s.key_begin;
  std::vector<double> p(count);
  for (int64_t j = 0; j < count; ++j)
    p[j] = scale * score(q, query, head, keys, s.key_row(s.key_begin + j), key_head);
  const double highest = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& x : p) total += x = std::exp(x - highest);
  if (lse) store(lse, query * lse.stride[0] + head, static_cast<float>(highest + std::log(total)));
  for (int64_t d = 0; d < out.shape[2]; ++d) {
    double sum = 0;
    for (int64_t j = 0; j < count; ++j)
      sum += p[j] * load(keys.v, at(keys.v, s.key_row(s.key_begin + j), key_head, d));
    store(out, at(out, query, head, d), static_cast<float>(sum / total));
  }
}

// The gradients of one head of one sequence, dk and dv added to what is there.
struct HeadGradients {
  std::vector<double> dq, dk, dv;  // [queries, width], [keys, width], [keys, v_dim]
};

void backward_head(HeadGradients& g, const Tensor& dout, const Tensor& out, const Tensor& lse,
                   const Tensor& q, const AttentionKeys& keys, const AttentionSequence& s,
                   int64_t head, float scale) {
  const int64_t width = q.shape[2], v_dim = out.shape[2];
  const int64_t key_head = head / (q.shape[1] / keys.k.shape[1]);
  for (int64_t i = s.query_begin; i < s.query_end; ++i) {
    const double d_row = dot(dout, at(dout, i, head), out, at(out, i, head), v_dim);
    for (int64_t j = s.key_begin; j < visible_end(s, i); ++j) {
      const double p = std::exp(scale * score(q, i, head, keys, j, key_head) -
                                load(lse, i * lse.stride[0] + head));
      const double dp =
          dot(dout, at(dout, i, head), keys.v, at(keys.v, j, key_head), v_dim) - d_row;
      for (int64_t d = 0; d < v_dim; ++d)
        g.dv[(j - s.key_begin) * v_dim + d] += p * load(dout, at(dout, i, head, d));
      for (int64_t d = 0; d < width; ++d) {
        g.dq[(i - s.query_begin) * width + d] += scale * p * dp * key_element(keys, j, key_head, d);
        g.dk[(j - s.key_begin) * width + d] += scale * p * dp * load(q, at(q, i, head, d));
      }
    }
  }
}

}  // namespace

void attention_forward(const Tensor& out, const Tensor& lse, const Tensor& q,
                       const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                       float scale) {
  for (const AttentionSequence& s : sequences)
    for (int64_t query = s.query_begin; query < s.query_end; ++query)
      for (int64_t head = 0; head < q.shape[1]; ++head)
        forward_row(out, lse, q, keys, s, query, head, scale);
}

void attention_backward(const Tensor& dq, const AttentionKeys& dkeys, const Tensor& dk_rope,
                        const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                        const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                        float scale) {
  const int64_t heads = q.shape[1], key_heads = keys.k.shape[1], group = heads / key_heads;
  const int64_t width = q.shape[2], nope = keys.k.shape[2], v_dim = out.shape[2];
  for (const AttentionSequence& s : sequences) {
    const int64_t queries = s.query_end - s.query_begin, key_count = s.key_end - s.key_begin;
    HeadGradients g;
    for (int64_t head = 0; head < heads; ++head) {
      g.dq.assign(queries * width, 0);
      if (head % group == 0) {
        g.dk.assign(key_count * width, 0);
        g.dv.assign(key_count * v_dim, 0);
      }
      backward_head(g, dout, out, lse, q, keys, s, head, scale);
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t d = 0; d < width; ++d)
          store(dq, at(dq, s.query_begin + i, head, d), static_cast<float>(g.dq[i * width + d]));
      for (int64_t j = 0; j < key_count; ++j)
        for (int64_t d = nope; d < width; ++d) {
          store(dk_rope, at(dk_rope, s.key_begin + j, head, d - nope),
                static_cast<float>(g.dk[j * width + d]));
          g.dk[j * width + d] = 0;  // the rope part is each head's own
        }
      if (head % group != group - 1) continue;
      for (int64_t j = 0; j < key_count; ++j) {
        for (int64_t d = 0; d < nope; ++d)
          store(dkeys.k, at(dkeys.k, s.key_begin + j, head / group, d),
                static_cast<float>(g.dk[j * width + d]));
        for (int64_t d = 0; d < v_dim; ++d)
          store(dkeys.v, at(dkeys.v, s.key_begin + j, head / group, d),
                static_cast<float>(g.dv[j * v_dim + d]));
      }
    }
  }
}

}  // namespace minke::ref
