// row_ops.h over Highway vectors: written once, compiled for each instruction set, chosen at run
// time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_ops.cc"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include <hwy/foreach_target.h>
// Highway's own order: after foreach_target.
#include <hwy/highway.h>

#include "kernels/row_ops.h"

HWY_BEFORE_NAMESPACE();
namespace minke {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr D d;

HWY_ATTR int64_t lanes() { return static_cast<int64_t>(hn::Lanes(d)); }

// The last n < lanes() elements, the rest `fill`: rows end anywhere, and memory beyond is not ours.
HWY_ATTR V load_tail(const float* x, int64_t n, float fill = 0.0f) {
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  for (int64_t i = 0; i < lanes(); ++i) buffer[i] = i < n ? x[i] : fill;
  return hn::Load(d, buffer);
}

HWY_ATTR void store_tail(V v, float* y, int64_t n) {
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  hn::Store(v, d, buffer);
  for (int64_t i = 0; i < n; ++i) y[i] = buffer[i];
}

// y[i] = f(inputs[i]...) for all i.
template <typename F, typename... In>
HWY_ATTR void transform(float* y, int64_t n, F f, const In*... in) {
  const int64_t step = lanes();
  int64_t i = 0;
  for (; i + step <= n; i += step) hn::StoreU(f(hn::LoadU(d, in + i)...), d, y + i);
  if (i < n) store_tail(f(load_tail(in + i, n - i)...), y + i, n - i);
}

HWY_ATTR V widened(const uint16_t* in) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, in))));
}

HWY_ATTR void widen(float* out, const uint16_t* in, int64_t n) {
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes()) hn::StoreU(widened(in + i), d, out + i);
  HWY_ALIGN uint16_t buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  for (int64_t j = i; j < n; ++j) buffer[j - i] = in[j];
  if (i < n) store_tail(widened(buffer), out + i, n - i);
}

// Nearest even by integer arithmetic; a NaN keeps its sign and becomes quiet.
HWY_ATTR void narrow_vector(V x, uint16_t* out) {
  const hn::RebindToUnsigned<D> d32;
  const hn::RebindToSigned<D> i32;
  const hn::Rebind<uint16_t, D> d16;
  const auto bits = hn::BitCast(d32, x);
  const auto upper = hn::ShiftRight<16>(bits);
  const auto odd = hn::And(upper, hn::Set(d32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(hn::Set(d32, 0x7fff), odd)));
  const auto quiet = hn::Or(upper, hn::Set(d32, 0x40));
  const auto result = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(x)), quiet, rounded);
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(i32, result)), d16, out);
}

HWY_ATTR void narrow(uint16_t* out, const float* in, int64_t n) {
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes()) narrow_vector(hn::LoadU(d, in + i), out + i);
  if (i == n) return;
  HWY_ALIGN uint16_t buffer[HWY_MAX_BYTES / sizeof(float)];
  narrow_vector(load_tail(in + i, n - i), buffer);
  for (int64_t j = i; j < n; ++j) out[j] = buffer[j - i];
}

HWY_ATTR float dot(const float* a, const float* b, int64_t n) {
  const int64_t step = lanes();
  V sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    sum0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
    sum1 = hn::MulAdd(hn::LoadU(d, a + i + step), hn::LoadU(d, b + i + step), sum1);
  }
  for (; i + step <= n; i += step)
    sum0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
  if (i < n) sum1 = hn::MulAdd(load_tail(a + i, n - i), load_tail(b + i, n - i), sum1);
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
}

HWY_ATTR float max(const float* x, int64_t n) {
  V best = hn::Set(d, x[0]);
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes()) best = hn::Max(best, hn::LoadU(d, x + i));
  if (i < n) best = hn::Max(best, load_tail(x + i, n - i, x[0]));
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

HWY_ATTR void add_scaled(float* y, const float* x, float a, int64_t n) {
  const V factor = hn::Set(d, a);
  transform(
      y, n, [factor](V old, V v) HWY_ATTR { return hn::MulAdd(factor, v, old); }, y, x);
}

HWY_ATTR void blend(float* y, float a, const float* x, float b, int64_t n) {
  const V of_y = hn::Set(d, a), of_x = hn::Set(d, b);
  transform(
      y, n, [=](V old, V v) HWY_ATTR { return hn::MulAdd(of_y, old, hn::Mul(of_x, v)); }, y, x);
}

HWY_ATTR void scale(float* y, float a, int64_t n) {
  const V factor = hn::Set(d, a);
  transform(
      y, n, [factor](V v) HWY_ATTR { return hn::Mul(factor, v); }, y);
}

HWY_ATTR void add_product(float* y, const float* a, const float* b, float s, int64_t n) {
  const V factor = hn::Set(d, s);
  transform(
      y, n, [factor](V old, V u, V v) HWY_ATTR { return hn::MulAdd(hn::Mul(factor, u), v, old); },
      y, a, b);
}

HWY_ATTR void multiply(float* y, const float* a, const float* b, float s, int64_t n) {
  const V factor = hn::Set(d, s);
  transform(
      y, n, [factor](V u, V v) HWY_ATTR { return hn::Mul(hn::Mul(factor, u), v); }, a, b);
}

// e^x within 2 units in the last place for x in [-87, 88], 0 below that; NaN for NaN. As in rows.h:
// half the instructions of Highway's, which is more exact than bf16 can tell.
HWY_INLINE HWY_ATTR V exponential(V x) {
  const hn::RebindToUnsigned<D> d32;
  const V lowest = hn::Set(d, -87.0f), magic = hn::Set(d, 12582912.0f);  // 1.5·2²³ rounds
  const auto low = hn::Lt(x, lowest);                                    // false for NaN
  const V clamped = hn::IfThenElse(low, lowest, x);
  const V shifted = hn::MulAdd(clamped, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::MulAdd(n, hn::Set(d, -0.693359375f), clamped);
  r = hn::MulAdd(n, hn::Set(d, 2.12194440e-4f), r);
  V y = hn::Set(d, 1.0f / 5040);
  const float coefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
#pragma GCC unroll 7
  for (int i = 0; i < 7; ++i) y = hn::MulAdd(y, r, hn::Set(d, coefficients[i]));
  const auto power = hn::ShiftLeft<23>(hn::BitCast(d32, shifted));
  const V result = hn::BitCast(d, hn::Add(hn::BitCast(d32, y), power));
  return hn::IfThenZeroElse(low, result);
}

HWY_INLINE HWY_ATTR V logistic(V x) {
  const V one = hn::Set(d, 1.0f);
  // exp of a large argument would overflow; −x is limited to 88 where the result is below f32's
  // least.
  const V e = exponential(hn::Min(hn::Neg(x), hn::Set(d, 88.0f)));
  return hn::Div(one, hn::Add(one, e));
}

HWY_ATTR void silu_mul(float* h, const float* gate, const float* up, int64_t n) {
  transform(
      h, n, [](V a, V b) HWY_ATTR { return hn::Mul(hn::Mul(a, logistic(a)), b); }, gate, up);
}

HWY_ATTR void silu_mul_gradient(float* dgate, float* dup, const float* dh, const float* gate,
                                const float* up, int64_t n) {
  const V one = hn::Set(d, 1.0f);
  const int64_t step = lanes();
  for (int64_t i = 0; i < n; i += step) {
    const int64_t left = n - i;
    const bool whole = left >= step;
    const V a = whole ? hn::LoadU(d, gate + i) : load_tail(gate + i, left);
    const V b = whole ? hn::LoadU(d, up + i) : load_tail(up + i, left);
    const V g = whole ? hn::LoadU(d, dh + i) : load_tail(dh + i, left);
    const V s = logistic(a);
    const V slope = hn::Mul(s, hn::MulAdd(a, hn::Sub(one, s), one));
    const V da = hn::Mul(hn::Mul(g, b), slope);
    const V db = hn::Mul(hn::Mul(g, a), s);
    if (whole) {
      hn::StoreU(da, d, dgate + i);
      hn::StoreU(db, d, dup + i);
    } else {
      store_tail(da, dgate + i, left);
      store_tail(db, dup + i, left);
    }
  }
}

// Two products and one sum, each rounded by itself, so that it equals the reference.
HWY_ATTR void rotate_pairs(float* x, const float* cosine, const float* sine, float sign,
                           int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1], c = cosine[i], s = sign * sine[i];
    x[2 * i] = a * c - b * s;
    x[2 * i + 1] = a * s + b * c;
  }
}

// Rounded as in rotate_pairs.
HWY_ATTR void rotate_halves(float* x, const float* cosine, const float* sine, float sign,
                            int64_t pairs) {
  const V factor = hn::Set(d, sign);
  int64_t i = 0;
  for (; i + lanes() <= pairs; i += lanes()) {
    const V a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + pairs + i);
    const V c = hn::LoadU(d, cosine + i), s = hn::Mul(factor, hn::LoadU(d, sine + i));
    hn::StoreU(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), d, x + i);
    hn::StoreU(hn::Add(hn::Mul(a, s), hn::Mul(b, c)), d, x + pairs + i);
  }
  for (; i < pairs; ++i) {
    const float a = x[i], b = x[pairs + i], c = cosine[i], s = sign * sine[i];
    x[i] = a * c - b * s;
    x[pairs + i] = a * s + b * c;
  }
}

HWY_ATTR float sum_exp(const float* x, float shift, int64_t n) {
  const V offset = hn::Set(d, shift);
  V sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes() <= n; i += lanes())
    sum = hn::Add(sum, exponential(hn::Sub(hn::LoadU(d, x + i), offset)));
  if (i < n) {
    const V tail = exponential(hn::Sub(load_tail(x + i, n - i), offset));
    const auto inside = hn::FirstN(d, static_cast<size_t>(n - i));
    sum = hn::Add(sum, hn::IfThenElseZero(inside, tail));
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

HWY_ATTR void exp_scaled(float* y, const float* x, float shift, float s, int64_t n) {
  const V offset = hn::Set(d, shift), factor = hn::Set(d, s);
  transform(
      y, n, [=](V v) HWY_ATTR { return hn::Mul(factor, exponential(hn::Sub(v, offset))); }, x);
}

HWY_ATTR void sigmoid(float* y, const float* x, int64_t n) {
  transform(
      y, n, [](V v) HWY_ATTR { return logistic(v); }, x);
}

HWY_ATTR void adamw(float* weight, float* m, float* v, const float* gradient, float gradient_scale,
                    const AdamwConstants& c, int64_t n) {
  const V beta1 = hn::Set(d, c.beta1), rest1 = hn::Set(d, 1 - c.beta1);
  const V beta2 = hn::Set(d, c.beta2), rest2 = hn::Set(d, 1 - c.beta2);
  const V scale = hn::Set(d, gradient_scale), epsilon = hn::Set(d, c.epsilon);
  const V correction1 = hn::Set(d, c.correction1), correction2 = hn::Set(d, c.correction2);
  const V rate = hn::Set(d, c.learning_rate), decay = hn::Set(d, c.weight_decay);
  const int64_t step = lanes();
  for (int64_t i = 0; i < n; i += step) {
    const int64_t left = n - i;
    const bool whole = left >= step;
    const auto load = [&](const float* p)
                          HWY_ATTR { return whole ? hn::LoadU(d, p + i) : load_tail(p + i, left); };
    const auto store = [&](V value, float* p) HWY_ATTR {
      if (whole)
        hn::StoreU(value, d, p + i);
      else
        store_tail(value, p + i, left);
    };
    const V g = hn::Mul(load(gradient), scale);
    const V first = hn::MulAdd(rest1, g, hn::Mul(beta1, load(m)));
    const V second = hn::MulAdd(rest2, hn::Mul(g, g), hn::Mul(beta2, load(v)));
    const V root = hn::Add(hn::Sqrt(hn::Mul(second, correction2)), epsilon);
    const V old = load(weight);
    const V update = hn::MulAdd(decay, old, hn::Div(hn::Mul(first, correction1), root));
    store(first, m);
    store(second, v);
    store(hn::NegMulAdd(rate, update, old), weight);
  }
}

RowOps table() {
  return {widen,
          narrow,
          dot,
          max,
          add_scaled,
          blend,
          scale,
          add_product,
          multiply,
          silu_mul,
          silu_mul_gradient,
          rotate_pairs,
          rotate_halves,
          sum_exp,
          exp_scaled,
          sigmoid,
          adamw};
}

}  // namespace HWY_NAMESPACE
}  // namespace minke
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/isa.h"

namespace minke {

HWY_EXPORT(table);

// Highway's targets that an Isa may use: its own and those below.
const RowOps& vector_row_ops() {
  static const auto tables = [] {
    const auto at_most = [](int64_t targets) {
      hwy::SetSupportedTargetsForTest(targets & hwy::SupportedTargets());
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      const RowOps ops = HWY_DYNAMIC_DISPATCH(table)();
      hwy::SetSupportedTargetsForTest(0);
      hwy::GetChosenTarget().DeInit();
      return ops;
    };
    struct {
      RowOps portable, avx2, best;
    } all{at_most(HWY_STATIC_TARGET), at_most(HWY_AVX2 | HWY_STATIC_TARGET),
          at_most(hwy::SupportedTargets())};
    return all;
  }();
  switch (active_isa()) {
    case Isa::reference:
    case Isa::portable:
      return tables.portable;
    case Isa::avx2:
      return tables.avx2;
    default:
      return tables.best;
  }
}

const RowOps& row_ops() {
  return active_isa() == Isa::reference ? reference_row_ops : vector_row_ops();
}

}  // namespace minke
#endif
