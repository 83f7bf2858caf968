#pragma once
// The row operations of block.h over the vectors of vector.h, in an anonymous namespace.

#include "kernels/cpu/block.h"
#include "kernels/cpu/vector.h"

namespace minke::cpu {
namespace {

inline void transpose(char* out, int64_t out_row, const char* in, int64_t in_row, int64_t rows,
                      int64_t columns) {
  for (int64_t r = 0; r < rows; r += 16)
    for (int64_t c = 0; c < columns; c += 16) {
      const char* from = in + r * in_row + c * 4;
      char* to = out + c * out_row + r * 4;
      if (r + 16 <= rows && c + 16 <= columns) {
        transpose16(to, out_row, from, in_row);
        continue;
      }
      for (int64_t i = 0; i < 16 && r + i < rows; ++i)
        for (int64_t j = 0; j < 16 && c + j < columns; ++j)
          std::memcpy(to + j * out_row + i * 4, from + i * in_row + j * 4, 4);
    }
}

inline void interleave(char* out, int64_t out_panel, const uint16_t* even, const uint16_t* odd,
                       int64_t columns) {
  int64_t i = 0;
  for (; odd && i + 32 <= columns; i += 32, out += 2 * out_panel)
    interleave32(out, out + out_panel, even + i, odd + i);
  for (; i + 16 <= columns; i += 16, out += out_panel) {
    const W upper = odd ? shift_left(load_halves(odd + i), 16) : splat_word(0);
    store_words(out, bit_or(upper, load_halves(even + i)));
  }
  for (int64_t j = 0; i + j < columns; ++j) {
    const uint16_t pair[2] = {even[i + j], odd ? odd[i + j] : uint16_t{0}};
    std::memcpy(out + 4 * j, pair, 4);
  }
}

inline void round(uint16_t* out, const float* in, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store_bf16(out + i, load(in + i));
  if (i == count) return;
  float tail[16] = {};
  uint16_t halves[16];
  std::memcpy(tail, in + i, sizeof(float) * (count - i));
  store_bf16(halves, load(tail));
  std::memcpy(out + i, halves, sizeof(uint16_t) * (count - i));
}

inline void widen(char* out, int64_t out_step, const uint16_t* in, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16, out += out_step)
    store(reinterpret_cast<float*>(out), load_bf16(in + i));
  for (; i < count; ++i, out += 4) {
    const uint32_t word = static_cast<uint32_t>(in[i]) << 16;
    std::memcpy(out, &word, sizeof word);
  }
}

inline V load_any(const float* p) { return load(p); }
inline V load_any(const uint16_t* p) { return load_bf16(p); }

template <typename T>
inline float dot(const T* a, const T* b, int64_t count) {
  V total = splat(0);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) total = fma(load_any(a + i), load_any(b + i), total);
  if (i < count) {
    T tail_a[16] = {}, tail_b[16] = {};
    std::memcpy(tail_a, a + i, sizeof(T) * (count - i));
    std::memcpy(tail_b, b + i, sizeof(T) * (count - i));
    total = fma(load_any(tail_a), load_any(tail_b), total);
  }
  return sum(total);
}

// e^x, within 2 units in the last place for x in [-87, 0]; 0 below that; NaN for NaN. Not for x
// > 88. Range reduction by ln 2 in two parts, then the Taylor polynomial of degree 7 on |r| ≤
// ln(2)/2.
inline V exponential(V x) {
  const V lowest = splat(-87.0f), magic = splat(12582912.0f);  // 1.5·2²³ rounds to an integer
  const V clamped = max(lowest, x);
  const V shifted = fma(clamped, splat(1.44269504f), magic);
  const V n = sub(shifted, magic);
  V r = fma(n, splat(-0.693359375f), clamped);
  r = fma(n, splat(2.12194440e-4f), r);
  V y = splat(1.0f / 5040);
  const float coefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
#pragma GCC unroll 7
  for (int i = 0; i < 7; ++i) y = fma(y, r, splat(coefficients[i]));
  const V result = floats(add_words(words(y), shift_left(words(shifted), 23)));
  return if_less(x, lowest, splat(0), result);
}

inline void store_probabilities(char* out, V p, bool bf16, int64_t i) {
  if (bf16)
    store_bf16(reinterpret_cast<uint16_t*>(out) + i, p);
  else
    store(reinterpret_cast<float*>(out) + i, p);
}

inline void widen_f16(float* out, const char* in, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(out + i, load_f16(in + 2 * i));
  if (i == count) return;
  char halves[32] = {};
  float rest[16];
  std::memcpy(halves, in + 2 * i, 2 * (count - i));
  store(rest, load_f16(halves));
  std::memcpy(out + i, rest, 4 * (count - i));
}

// Sixteen numbers of FP8, with the bits of tensor/dtype.h's to_float().
inline V load_f8(const char* in) {
  const W x = load_bytes(in);
  const W sign = shift_left(bit_and(x, splat_word(0x80)), 24);
  const V size = mul(floats(shift_left(bit_and(x, splat_word(0x7f)), 20)), splat(0x1p120f));
  const V number = if_less(size, splat(480), size, floats(splat_word(0x7fc00000)));
  return floats(bit_or(words(number), sign));
}

inline void widen_f8(float* out, const char* in, int64_t count, float scale) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(out + i, mul(load_f8(in + i), splat(scale)));
  if (i == count) return;
  char bytes[16] = {};
  float rest[16];
  std::memcpy(bytes, in + i, count - i);
  store(rest, mul(load_f8(bytes), splat(scale)));
  std::memcpy(out + i, rest, 4 * (count - i));
}

inline void softmax(const Scores& t, float* maximum, float* total, float* factor) {
  const float lowest = -3.0e38f;
  for (int64_t r = 0; r < t.rows; ++r) {
    const float* s = t.s + r * t.s_row;
    const int64_t visible = t.visible[r];
    V top = splat(lowest);
    int64_t i = 0;
    for (; i + 16 <= visible; i += 16) top = max(top, load(s + i));
    if (i < visible) top = max(top, first_lanes(load(s + i), visible - i, lowest));
    const float block_top = t.scale * highest(top), old_top = maximum[r];
    const float new_top = visible > 0 && block_top > old_top ? block_top : old_top;
    const V scale = splat(t.scale), offset = splat(-new_top);
    V sums = splat(0);
    char* p = t.p + r * t.p_row;
    for (i = 0; i < t.columns; i += 16) {
      V e = splat(0);
      if (i < visible) e = exponential(fma(load(s + i), scale, offset));
      if (i + 16 > visible && i < visible) e = first_lanes(e, visible - i, 0);
      sums = add(sums, e);
      store_probabilities(p, e, t.bf16, i);
    }
    float rescale[16];
    store(rescale, exponential(splat(old_top - new_top)));
    factor[r] = rescale[0];
    total[r] = rescale[0] * total[r] + sum(sums);
    maximum[r] = new_top;
  }
}

inline void softmax_backward(const Scores& t, const float* dp, const float* lse, const float* d,
                             char* ds) {
  const V scale = splat(t.scale);
  for (int64_t r = 0; r < t.rows; ++r) {
    const int64_t visible = t.visible[r];
    const V offset = splat(-lse[r]), mean = splat(d[r]);
    for (int64_t i = 0; i < t.columns; i += 16) {
      V p = splat(0), gradient = splat(0);
      if (i < visible) {
        p = exponential(fma(load(t.s + r * t.s_row + i), scale, offset));
        gradient = mul(mul(p, scale), sub(load(dp + r * t.s_row + i), mean));
      }
      if (i + 16 > visible && i < visible) {
        p = first_lanes(p, visible - i, 0);
        gradient = first_lanes(gradient, visible - i, 0);
      }
      store_probabilities(t.p + r * t.p_row, p, t.bf16, i);
      store_probabilities(ds + r * t.p_row, gradient, t.bf16, i);
    }
  }
}

inline void scale_rows(float* x, int64_t x_row, int64_t rows, int64_t columns,
                       const float* factor) {
  for (int64_t r = 0; r < rows; ++r, x += x_row) {
    if (factor[r] == 1) continue;
    const V f = splat(factor[r]);
    int64_t i = 0;
    for (; i + 16 <= columns; i += 16) store(x + i, mul(load(x + i), f));
    for (; i < columns; ++i) x[i] *= factor[r];
  }
}

}  // namespace
}  // namespace minke::cpu
