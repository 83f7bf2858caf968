#include "kernels/attention.h"

#include "kernels/cpu/attention.h"
#include "kernels/isa.h"
#include "kernels/profile.h"
#include "kernels/ref/attention.h"

namespace minke {
namespace {

bool use_reference() { return active_isa() == Isa::reference; }

// Operations of products over `width` elements of every query with each key that it sees.
double work_of(const Tensor& q, std::span<const AttentionSequence> sequences, int64_t width) {
  double pairs = 0;
  for (const AttentionSequence& s : sequences) {
    const double queries = static_cast<double>(s.query_end - s.query_begin);
    pairs += queries * (static_cast<double>(s.key_end - s.key_begin) - (queries - 1) / 2);
  }
  return 2 * pairs * static_cast<double>(q.shape[1] * width);
}

void check_keys(const Tensor& q, const AttentionKeys& keys, int64_t v_dim) {
  const int64_t rope = keys.k_rope ? keys.k_rope.columns() : 0;
  require(q.rank == 3 && keys.k.rank == 3 && keys.v.rank == 3 && keys.k.shape[1] > 0 &&
              q.shape[1] % keys.k.shape[1] == 0 && q.shape[2] == keys.k.shape[2] + rope &&
              keys.v.shape[1] == keys.k.shape[1] && keys.v.shape[2] == v_dim,
          "attention of q {}, k {}, k_rope of {}, v {} to width {}", q, keys.k, rope, keys.v,
          v_dim);
  require(q.dtype != DType::i32 && keys.k.dtype == q.dtype && keys.v.dtype == q.dtype &&
              (!rope || keys.k_rope.dtype == q.dtype),
          "attention of dtypes {}, {}, {}", dtype_name(q.dtype), dtype_name(keys.k.dtype),
          dtype_name(keys.v.dtype));
}

void check_pages(const AttentionSequence& s, int64_t rows) {
  require(s.key_begin == 0, "keys in pages that begin at {}", s.key_begin);
  for (int64_t key = 0; key < s.key_end; key += attention_page)
    require(s.pages[key / attention_page] >= 0 && s.key_row(key) + attention_page <= rows,
            "key {} in page {} of {} rows", key, s.pages[key / attention_page], rows);
}

void check_sequences(const Tensor& q, const AttentionKeys& keys,
                     std::span<const AttentionSequence> sequences) {
  for (const AttentionSequence& s : sequences) {
    require(0 <= s.query_begin && s.query_begin <= s.query_end && s.query_end <= q.rows() &&
                0 <= s.key_begin && (s.pages || s.key_end <= keys.k.rows()) &&
                s.query_end - s.query_begin <= s.key_end - s.key_begin,
            "queries {}..{} of {}, keys {}..{} of {}", s.query_begin, s.query_end, q.rows(),
            s.key_begin, s.key_end, keys.k.rows());
    if (s.pages) check_pages(s, keys.k.rows());
  }
}

// One row per query and head, `width` wide.
void check_rows(const Tensor& t, const Tensor& q, int64_t width, const char* name) {
  require(t.rank == 3 && t.dtype == q.dtype && t.rows() == q.rows() && t.shape[1] == q.shape[1] &&
              t.shape[2] == width,
          "{} is {} for q {}", name, t, q);
}

void check_lse(const Tensor& lse, const Tensor& q) {
  require(lse.rank == 2 && lse.dtype == DType::f32 && lse.rows() == q.rows() &&
              lse.shape[1] == q.shape[1],
          "lse is {} for q {}", lse, q);
}

}  // namespace

void attention_forward(const Tensor& out, const Tensor& lse, const Tensor& q,
                       const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                       float scale) {
  require(out.rank == 3, "out is {}", out);
  check_keys(q, keys, out.shape[2]);
  check_sequences(q, keys, sequences);
  check_rows(out, q, out.shape[2], "out");
  if (lse) check_lse(lse, q);
  const ProfileScope scope("attention", limit_of(q.dtype),
                           work_of(q, sequences, q.shape[2] + out.shape[2]));
  (use_reference() ? ref::attention_forward : cpu::attention_forward)(out, lse, q, keys, sequences,
                                                                      scale);
}

void attention_backward(const Tensor& dq, const AttentionKeys& dkeys, const Tensor& dk_rope,
                        const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                        const AttentionKeys& keys, std::span<const AttentionSequence> sequences,
                        float scale) {
  require(out.rank == 3, "out is {}", out);
  check_keys(q, keys, out.shape[2]);
  check_sequences(q, keys, sequences);
  for (const AttentionSequence& s : sequences) require(!s.pages, "a gradient of keys in pages");
  check_rows(dq, q, q.shape[2], "dq");
  check_rows(dout, q, out.shape[2], "dout");
  check_rows(out, q, out.shape[2], "out");
  check_lse(lse, q);
  const int64_t rope = q.shape[2] - keys.k.shape[2];
  require(dkeys.k.shape == keys.k.shape && dkeys.v.shape == keys.v.shape &&
              dkeys.k.dtype == q.dtype && dkeys.v.dtype == q.dtype,
          "dk {} and dv {}", dkeys.k, dkeys.v);
  require(rope == 0 ||
              (dk_rope.rank == 3 && dk_rope.dtype == q.dtype && dk_rope.rows() == keys.k.rows() &&
               dk_rope.shape[1] == q.shape[1] && dk_rope.shape[2] == rope),
          "dk_rope is {} for q {}", dk_rope, q);
  // Scores and their gradient, twice over both widths, and the gradient of the values.
  const ProfileScope scope("attention backward", limit_of(q.dtype),
                           work_of(q, sequences, 3 * q.shape[2] + 2 * out.shape[2]));
  (use_reference() ? ref::attention_backward : cpu::attention_backward)(
      dq, dkeys, dk_rope, dout, out, lse, q, keys, sequences, scale);
}

}  // namespace minke
