#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/ref/element.h"
#include "tensor/arena.h"

namespace minke {
namespace {

struct Shape {
  int64_t heads, key_heads, nope, rope, v_dim;
  std::vector<AttentionSequence> sequences;
};

const Shape shapes[] = {
    {1, 1, 1, 0, 1, {{0, 1, 0, 1}}},
    {3, 3, 5, 6, 20, {{0, 1, 0, 1}, {1, 18, 1, 18}}},
    {4, 2, 16, 0, 16, {{0, 33, 0, 33}}},
    {6, 1, 40, 6, 33, {{0, 3, 0, 140}, {3, 3, 140, 145}}},
    {2, 2, 64, 32, 64, {{0, 150, 0, 150}, {150, 260, 150, 300}}},
    {130, 1, 32, 16, 32, {{0, 1, 0, 67}}},
};

Arena& arena() {
  static Arena instance(int64_t{1} << 28);
  return instance;
}

// [a, b, c], strided in the first dimension.
Tensor random_tensor(DType dtype, int64_t a, int64_t b, int64_t c, uint64_t stream) {
  const Tensor t = arena().allocate(dtype, {a, b * c + 3});
  Random random(2, stream);
  for (int64_t i = 0; i < t.size(); ++i) ref::store(t, i, static_cast<float>(random.normal()));
  return t.slice_last(1, 1 + b * c).split_last(b, c);
}

struct Problem {
  Problem(const Shape& s, DType dtype) : sequences(s.sequences) {
    const int64_t queries = s.sequences.back().query_end, count = s.sequences.back().key_end;
    q = random_tensor(dtype, queries, s.heads, s.nope + s.rope, 1);
    keys.k = random_tensor(dtype, count, s.key_heads, s.nope, 2);
    keys.v = random_tensor(dtype, count, s.key_heads, s.v_dim, 3);
    dkeys.k = random_tensor(dtype, count, s.key_heads, s.nope, 4);
    dkeys.v = random_tensor(dtype, count, s.key_heads, s.v_dim, 5);
    if (s.rope > 0) {
      keys.k_rope = random_tensor(dtype, count, 1, s.rope, 6);
      keys.k_rope.rank = 2;
      keys.k_rope.shape[1] = s.rope;
      keys.k_rope.stride[1] = 1;
      dk_rope = random_tensor(dtype, count, s.heads, s.rope, 7);
    }
    dq = random_tensor(dtype, queries, s.heads, s.nope + s.rope, 8);
    out = random_tensor(dtype, queries, s.heads, s.v_dim, 9);
    dout = random_tensor(dtype, queries, s.heads, s.v_dim, 10);
    lse = arena().allocate(DType::f32, {queries, s.heads});
    scale = 1 / std::sqrt(static_cast<float>(s.nope + s.rope));
  }

  void forward() const { attention_forward(out, lse, q, keys, sequences, scale); }
  void backward() const {
    attention_backward(dq, dkeys, dk_rope, dout, out, lse, q, keys, sequences, scale);
  }
  // Everything that the two compute.
  std::vector<Tensor> results() const {
    std::vector<Tensor> all = {out, lse, dq, dkeys.k, dkeys.v};
    if (dk_rope) all.push_back(dk_rope);
    return all;
  }

  std::vector<AttentionSequence> sequences;
  Tensor q, dq, out, dout, lse, dk_rope;
  AttentionKeys keys, dkeys;
  float scale;
};

int64_t row_elements(const Tensor& t) { return t.size() / t.rows(); }

std::vector<float> values(const Tensor& t) {
  std::vector<float> all;
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < row_elements(t); ++c) all.push_back(ref::load(t, r * t.stride[0] + c));
  return all;
}

void expect_close(const std::vector<float>& got, const std::vector<float>& want, float tolerance) {
  ASSERT_EQ(got.size(), want.size());
  float largest = 0;
  for (const float x : want) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * (largest + 1e-3f)) << i;
}

class AttentionTest : public ::testing::Test {
 protected:
  void SetUp() override { mark_ = arena().mark(); }
  void TearDown() override {
    set_active_isa(before_);
    set_thread_count(2);
    arena().release(mark_);
  }

 private:
  int64_t mark_ = 0;
  Isa before_ = active_isa();
};

TEST_F(AttentionTest, EveryInstructionSetIsTheReference) {
  for (const Shape& shape : shapes)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      set_active_isa(Isa::reference);
      const Problem want(shape, dtype);
      want.forward();
      want.backward();
      for (const Isa isa : supported_isas()) {
        SCOPED_TRACE(fmt::format("{} {} heads {}", isa_name(isa), dtype_name(dtype), shape.heads));
        set_active_isa(isa);
        const Problem got(shape, dtype);
        got.forward();
        got.backward();
        const float tolerance = dtype == DType::f32 ? 2e-5f : 0.02f;
        for (size_t i = 0; i < got.results().size(); ++i)
          expect_close(values(got.results()[i]), values(want.results()[i]), tolerance);
      }
    }
}

// Σ dout·out changes by the gradient times a small step in any input.
TEST_F(AttentionTest, ReferenceGradientIsTheDifferenceQuotient) {
  set_active_isa(Isa::reference);
  const Shape shape{4, 2, 5, 2, 3, {{0, 3, 0, 3}, {3, 6, 3, 9}}};
  const Problem p(shape, DType::f32);
  const auto objective = [&] {
    p.forward();
    double sum = 0;
    const std::vector<float> out = values(p.out), dout = values(p.dout);
    for (size_t i = 0; i < out.size(); ++i) sum += static_cast<double>(out[i]) * dout[i];
    return sum;
  };
  objective();
  p.backward();
  const auto check = [&](const Tensor& input, const std::function<float(int64_t, int64_t)>& want) {
    for (int64_t r = 0; r < input.rows(); ++r)
      for (int64_t c = 0; c < row_elements(input); ++c) {
        const int64_t at = r * input.stride[0] + c;
        const float x = ref::load(input, at), step = 1e-2f;
        ref::store(input, at, x + step);
        const double above = objective();
        ref::store(input, at, x - step);
        const double below = objective();
        ref::store(input, at, x);
        ASSERT_NEAR((above - below) / (2 * step), want(r, c), 3e-3) << r << ", " << c;
      }
  };
  const auto same = [](const Tensor& gradient) {
    return [gradient](int64_t r, int64_t c) {
      return ref::load(gradient, r * gradient.stride[0] + c);
    };
  };
  check(p.q, same(p.dq));
  check(p.keys.k, same(p.dkeys.k));
  check(p.keys.v, same(p.dkeys.v));
  check(p.keys.k_rope, [&](int64_t r, int64_t c) {
    float sum = 0;
    for (int64_t head = 0; head < shape.heads; ++head)
      sum += ref::load(p.dk_rope, r * p.dk_rope.stride[0] + head * p.dk_rope.stride[1] + c);
    return sum;
  });
}

TEST_F(AttentionTest, ThreadsChangeNoBit) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Isa isa : supported_isas()) {
      if (isa == Isa::reference) continue;
      set_active_isa(isa);
      std::vector<std::vector<float>> first;
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        const Problem p(shapes[4], dtype);
        p.forward();
        p.backward();
        for (size_t i = 0; i < p.results().size(); ++i) {
          if (threads == 1)
            first.push_back(values(p.results()[i]));
          else
            ASSERT_EQ(values(p.results()[i]), first[i]) << isa_name(isa);
        }
      }
    }
}

TEST_F(AttentionTest, ChunksOfQueriesChangeNoBit) {
  const Shape whole{4, 2, 24, 8, 16, {{0, 300, 0, 300}}};
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Isa isa : supported_isas()) {
      set_active_isa(isa);
      const Problem p(whole, dtype);
      p.forward();
      const std::vector<float> out = values(p.out), lse = values(p.lse);
      const Problem chunked(whole, dtype);
      int64_t begin = 0;
      for (const int64_t end : {1, 2, 50, 131, 132, 299, 300}) {
        const AttentionSequence chunk{0, end - begin, 0, end};
        attention_forward(chunked.out.slice_rows(begin, end), chunked.lse.slice_rows(begin, end),
                          chunked.q.slice_rows(begin, end), chunked.keys, {&chunk, 1}, p.scale);
        begin = end;
      }
      EXPECT_EQ(values(chunked.out), out) << isa_name(isa);
      EXPECT_EQ(values(chunked.lse), lse) << isa_name(isa);
    }
}

// 2,500 keys are three parts: alone (a task for each part) and among many sequences (parts one
// after the other), the last row of the 2,500 and one that ends inside a part.
TEST_F(AttentionTest, PartsOfLongSequencesChangeNoBit) {
  const Shape alone{4, 1, 16, 8, 160, {{0, 1, 0, 1024}, {1, 3, 0, 2500}}};
  Shape among = alone;
  for (int64_t i = 3; i < 40; ++i) among.sequences.push_back({i, i + 1, 2499, 2500});
  for (const DType dtype : {DType::f32, DType::bf16}) {
    set_active_isa(Isa::reference);
    const Problem want(alone, dtype);
    want.forward();
    for (const Isa isa : supported_isas()) {
      if (isa == Isa::reference) continue;
      set_active_isa(isa);
      const Problem few(alone, dtype);
      few.forward();
      expect_close(values(few.out), values(want.out), dtype == DType::f32 ? 2e-5f : 0.02f);
      Problem many(among, dtype);
      for (int64_t row = 0; row < 3; ++row)
        std::memcpy(many.q.data + row * many.q.stride[0] * dtype_bytes(dtype),
                    few.q.data + row * few.q.stride[0] * dtype_bytes(dtype),
                    row_elements(few.q) * dtype_bytes(dtype));
      many.keys = few.keys;
      many.forward();
      EXPECT_EQ(values(many.out.slice_rows(0, 3)), values(few.out)) << isa_name(isa);
      EXPECT_EQ(values(many.lse.slice_rows(0, 3)), values(few.lse)) << isa_name(isa);
    }
  }
}

// Pages in any order hold the same keys: same bits.
TEST_F(AttentionTest, PagesChangeNoBit) {
  const int64_t count = 300;
  const Shape shape{4, 2, 24, 8, 80, {{0, 3, 0, count}}};
  const std::vector<int32_t> pages = {6, 2, 3, 0, 5};
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Isa isa : supported_isas()) {
      set_active_isa(isa);
      const Problem plain(shape, dtype);
      plain.forward();
      Problem paged(shape, dtype);
      const AttentionSequence in_pages{0, 3, 0, count, pages.data()};
      const auto spread = [&](const Tensor& rows) {
        const Tensor pool = arena().allocate(dtype, {7 * attention_page, row_elements(rows)});
        for (int64_t key = 0; key < count; ++key)
          for (int64_t i = 0; i < row_elements(rows); ++i)
            ref::store(pool, in_pages.key_row(key) * pool.stride[0] + i,
                       ref::load(rows, key * rows.stride[0] + i));
        return pool;
      };
      paged.keys = {spread(plain.keys.k).split_last(2, 24), spread(plain.keys.k_rope),
                    spread(plain.keys.v).split_last(2, 80)};
      paged.sequences = {in_pages};
      paged.forward();
      EXPECT_EQ(values(paged.out), values(plain.out)) << isa_name(isa);
      EXPECT_THROW(paged.backward(), Error);
      const std::vector<int32_t> beyond = {6, 2, 3, 0, 7};
      paged.sequences[0].pages = beyond.data();
      EXPECT_THROW(paged.forward(), Error);
    }
}

TEST_F(AttentionTest, LargeScoresStayFinite) {
  for (const Isa isa : supported_isas()) {
    set_active_isa(isa);
    Problem p(shapes[4], DType::f32);
    p.scale = 1000;
    p.forward();
    p.backward();
    for (const Tensor& t : p.results())
      for (const float x : values(t)) ASSERT_TRUE(std::isfinite(x)) << isa_name(isa);
  }
}

TEST_F(AttentionTest, ShapesThatDisagreeAreErrors) {
  Problem p(shapes[4], DType::f32);
  p.sequences[0].key_end = 10;  // fewer keys than queries
  EXPECT_THROW(p.forward(), Error);
  const Problem other(shapes[1], DType::f32);
  EXPECT_THROW(attention_forward(other.out, {}, p.q, p.keys, {}, 1), Error);
}

}  // namespace
}  // namespace minke
