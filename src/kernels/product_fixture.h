#pragma once
// What the tests of products share: operands in one arena, and every instruction set in turn.

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/ref/element.h"

namespace minke {
namespace {

constexpr DType f32 = DType::f32, bf16 = DType::bf16;

template <typename Body>
void with_isa(Isa isa, const Body& body) {
  const Isa before = active_isa();
  set_active_isa(isa);
  body();
  set_active_isa(before);
}

// Runs with each instruction set, the reference aside.
template <typename Body>
void each_isa(const Body& body) {
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::reference) continue;
    SCOPED_TRACE(isa_name(isa));
    with_isa(isa, body);
  }
}

Arena& arena() {
  static Arena instance(int64_t{1} << 30);
  return instance;
}

// A view of `columns` inside rows that are three elements longer.
Tensor random_matrix(int64_t rows, int64_t columns, DType dtype, uint64_t stream) {
  Tensor t = arena().allocate(dtype, {rows, columns + 3});
  Random random(1, stream);
  for (int64_t i = 0; i < t.size(); ++i) ref::store(t, i, static_cast<float>(random.normal()));
  return t.slice_last(2, columns + 2);
}

// A product [m, k] x [n, k].
struct Case {
  int64_t m, n, k;
};

class ProductTest : public ::testing::Test {
 protected:
  void SetUp() override { mark_ = arena().mark(); }
  void TearDown() override {
    arena().release(mark_);
    set_thread_count(2);
  }

 private:
  int64_t mark_ = 0;
};

}  // namespace
}  // namespace minke
