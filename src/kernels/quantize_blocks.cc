#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>

#include "base/error.h"
#include "kernels/blocks.h"
#include "tensor/dtype.h"

namespace minke {
namespace {

using Group = std::span<const float>;

void store16(uint8_t* out, uint16_t bits) {
  out[0] = static_cast<uint8_t>(bits);
  out[1] = static_cast<uint8_t>(bits >> 8);
}

// Stores x as f16 and returns the number that was kept.
float store_half(uint8_t* out, float x) {
  const Float16 half = to_float16(x);
  store16(out, half.bits);
  return to_float(half);
}

float inverse(float x) { return x != 0 ? 1.0f / x : 0.0f; }

// The integer part of x in [0, top].
uint8_t truncated(float x, float top) {
  return static_cast<uint8_t>(x >= top ? top : x > 0 ? x : 0.0f);
}

// The integer nearest to x in [0, top], ties to even.
uint8_t nearest(float x, float top) {
  return static_cast<uint8_t>(x >= top ? top : x > 0 ? std::nearbyint(x) : 0.0f);
}

void store_nibbles(uint8_t* out, const uint8_t* code) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>((code[i] & 15) | code[i + 16] << 4);
}

void store_fifth_bits(uint8_t* out, const uint8_t* code) {
  std::memset(out, 0, 4);
  for (int i = 0; i < 32; ++i)
    out[i / 8] = static_cast<uint8_t>(out[i / 8] | (code[i] >> 4) << (i % 8));
}

float furthest_from_zero(Group x) {
  float furthest = 0;
  for (const float v : x)
    if (std::abs(v) > std::abs(furthest)) furthest = v;
  return furthest;
}

void quantize_q8_0(Group x, uint8_t* out) {
  const float scale = std::abs(furthest_from_zero(x)) / 127, per_unit = inverse(scale);
  store_half(out, scale);
  for (int i = 0; i < 32; ++i) {
    // Ties away from zero, as GGML rounds here.
    const float q = std::round(x[i] * per_unit);
    out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(q > 127 ? 127 : q >= -127 ? q : -127));
  }
}

// Q4_0 and Q5_0: the element furthest from zero becomes −half.
void quantize_symmetric(Group x, int half, uint8_t* out) {
  std::array<uint8_t, 32> code;
  const float half_range = static_cast<float>(half);
  const float scale = furthest_from_zero(x) / -half_range, per_unit = inverse(scale);
  store_half(out, scale);
  for (int i = 0; i < 32; ++i)
    code[i] = truncated(x[i] * per_unit + (half_range + 0.5f), 2 * half_range - 1);
  if (half == 16) store_fifth_bits(out + 2, code.data());
  store_nibbles(out + (half == 16 ? 6 : 2), code.data());
}

// Q4_1 and Q5_1: from the least element to the largest in `top` steps.
void quantize_asymmetric(Group x, int top, uint8_t* out) {
  std::array<uint8_t, 32> code;
  const auto [least, largest] = std::minmax_element(x.begin(), x.end());
  const float min = *least, steps = static_cast<float>(top);
  const float scale = (*largest - min) / steps, per_unit = inverse(scale);
  store_half(out, scale);
  store_half(out + 2, min);
  for (int i = 0; i < 32; ++i) code[i] = truncated((x[i] - min) * per_unit + 0.5f, steps);
  if (top == 31) store_fifth_bits(out + 4, code.data());
  store_nibbles(out + (top == 31 ? 8 : 4), code.data());
}

// x ≈ scale·code − min with codes 0 to top and min ≥ 0.
struct Fit {
  float scale = 0, min = 0, error = INFINITY;
};

// The best scale and min for the codes that `per_unit` and `least` give, by weighted least squares.
Fit fit_codes(Group x, std::span<const float> weight, float top, float per_unit, float least) {
  std::array<float, 32> code;
  float w = 0, wl = 0, wll = 0, wx = 0, wxl = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    code[i] = nearest((x[i] - least) * per_unit, top);
    w += weight[i];
    wl += weight[i] * code[i];
    wll += weight[i] * code[i] * code[i];
    wx += weight[i] * x[i];
    wxl += weight[i] * x[i] * code[i];
  }
  const float determinant = w * wll - wl * wl;
  if (!(determinant > 0)) return {};
  Fit fit{(w * wxl - wx * wl) / determinant, (wl * wxl - wll * wx) / determinant, 0};
  if (fit.min < 0) fit = {wxl / wll, 0, 0};
  for (size_t i = 0; i < x.size(); ++i) {
    const float difference = fit.scale * code[i] - fit.min - x[i];
    fit.error += weight[i] * difference * difference;
  }
  return fit;
}

// Tries ranges around the elements' own, and weighs large elements more: they matter more in sums.
Fit best_fit(Group x, float top, float first, float step, int tries) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const float least = std::min(*low, 0.0f), range = *high - least;
  if (!(range > 0)) return {0, -least, 0};
  float squares = 0;
  for (const float v : x) squares += v * v;
  const float typical = std::sqrt(squares / static_cast<float>(x.size()));
  std::array<float, 32> weight;
  for (size_t i = 0; i < x.size(); ++i) weight[i] = typical + std::abs(x[i]);
  Fit best;
  for (int t = 0; t <= tries; ++t) {
    const float stretched = t == 0 ? top : top + first + step * static_cast<float>(t - 1);
    const Fit fit = fit_codes(x, weight, top, stretched / range, least);
    if (fit.error < best.error) best = fit;
  }
  return best.scale > 0 ? best : Fit{range / top, -least, 0};
}

// Six bits of each of eight scales and minima; block_codes.cc reads them.
void store_six_bits(const uint8_t* scale, const uint8_t* min, uint8_t* out) {
  for (int i = 0; i < 4; ++i) {
    out[i] = static_cast<uint8_t>(scale[i] | (scale[i + 4] >> 4) << 6);
    out[i + 4] = static_cast<uint8_t>(min[i] | (min[i + 4] >> 4) << 6);
    out[i + 8] = static_cast<uint8_t>((scale[i + 4] & 15) | (min[i + 4] & 15) << 4);
  }
}

// The scales and minima of Q4_K and Q5_K, and the codes that fit what was kept of them.
void quantize_with_minima(Group x, float top, std::span<const Fit, 8> fits, uint8_t* out,
                          uint8_t* code) {
  float largest_scale = 0, largest_min = 0;
  for (const Fit& fit : fits) {
    largest_scale = std::max(largest_scale, fit.scale);
    largest_min = std::max(largest_min, fit.min);
  }
  const float unit = store_half(out, largest_scale / 63);
  const float min_unit = store_half(out + 2, largest_min / 63);
  std::array<uint8_t, 8> scale, min;
  for (int g = 0; g < 8; ++g) {
    scale[g] = nearest(fits[g].scale * inverse(unit), 63);
    min[g] = nearest(fits[g].min * inverse(min_unit), 63);
    const float per_unit = inverse(unit * scale[g]), offset = min_unit * min[g];
    for (int i = g * 32; i < g * 32 + 32; ++i) code[i] = nearest((x[i] + offset) * per_unit, top);
  }
  store_six_bits(scale.data(), min.data(), out + 4);
}

void quantize_q4_k(Group x, uint8_t* out) {
  std::array<Fit, 8> fits;
  for (int g = 0; g < 8; ++g) fits[g] = best_fit(x.subspan(g * 32, 32), 15, -1.0f, 0.1f, 21);
  std::array<uint8_t, 256> code;
  quantize_with_minima(x, 15, fits, out, code.data());
  for (int g = 0; g < 4; ++g)
    for (int i = 0; i < 32; ++i)
      out[16 + g * 32 + i] = static_cast<uint8_t>(code[g * 64 + i] | code[g * 64 + 32 + i] << 4);
}

void quantize_q5_k(Group x, uint8_t* out) {
  std::array<Fit, 8> fits;
  for (int g = 0; g < 8; ++g) fits[g] = best_fit(x.subspan(g * 32, 32), 31, -0.5f, 0.1f, 16);
  std::array<uint8_t, 256> code;
  quantize_with_minima(x, 31, fits, out, code.data());
  std::memset(out + 16, 0, 32);
  for (int g = 0; g < 8; ++g)
    for (int i = 0; i < 32; ++i)
      out[16 + i] = static_cast<uint8_t>(out[16 + i] | (code[g * 32 + i] >> 4) << g);
  for (int g = 0; g < 4; ++g)
    for (int i = 0; i < 32; ++i)
      out[48 + g * 32 + i] =
          static_cast<uint8_t>((code[g * 64 + i] & 15) | (code[g * 64 + 32 + i] & 15) << 4);
}

float clamped_nearest(float x, float low, float high) {
  return std::nearbyint(std::clamp(x, low, high));
}

// The scale that fits codes −32 to 31 best, errors weighted by x².
float symmetric_scale(Group x) {
  const float furthest = furthest_from_zero(x);
  if (furthest == 0) return 0;
  float best_gain = 0, best_scale = furthest / -32;
  for (int t = -9; t <= 9; ++t) {
    const float per_unit = -(32 + 0.1f * static_cast<float>(t)) / furthest;
    double xl = 0, ll = 0;
    for (const float v : x) {
      const double w = static_cast<double>(v) * v, l = clamped_nearest(v * per_unit, -32, 31);
      xl += w * v * l;
      ll += w * l * l;
    }
    // With the best scale xl / ll the error is a constant minus xl² / ll.
    if (ll > 0 && xl * xl / ll > best_gain) {
      best_gain = static_cast<float>(xl * xl / ll);
      best_scale = static_cast<float>(xl / ll);
    }
  }
  return best_scale;
}

void quantize_q6_k(Group x, uint8_t* out) {
  std::array<float, 16> scales;
  for (int g = 0; g < 16; ++g) scales[g] = symmetric_scale(x.subspan(g * 16, 16));
  const float unit = store_half(out + 208, furthest_from_zero(scales) / -128);
  std::array<uint8_t, 256> code;
  for (int g = 0; g < 16; ++g) {
    const float scale = clamped_nearest(scales[g] * inverse(unit), -128, 127);
    out[192 + g] = static_cast<uint8_t>(static_cast<int8_t>(scale));
    const float per_unit = inverse(unit * scale);
    for (int i = g * 16; i < g * 16 + 16; ++i)
      code[i] = static_cast<uint8_t>(clamped_nearest(x[i] * per_unit, -32, 31) + 32);
  }
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 32; ++i) {
      const uint8_t* c = code.data() + half * 128 + i;  // four parts of 32
      out[half * 64 + i] = static_cast<uint8_t>((c[0] & 15) | (c[64] & 15) << 4);
      out[half * 64 + 32 + i] = static_cast<uint8_t>((c[32] & 15) | (c[96] & 15) << 4);
      out[128 + half * 32 + i] =
          static_cast<uint8_t>(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
    }
}

void quantize_block(BlockFormat format, Group x, uint8_t* out) {
  switch (format) {
    case BlockFormat::q4_0:
      return quantize_symmetric(x, 8, out);
    case BlockFormat::q5_0:
      return quantize_symmetric(x, 16, out);
    case BlockFormat::q4_1:
      return quantize_asymmetric(x, 15, out);
    case BlockFormat::q5_1:
      return quantize_asymmetric(x, 31, out);
    case BlockFormat::q8_0:
      return quantize_q8_0(x, out);
    case BlockFormat::q4_k:
      return quantize_q4_k(x, out);
    case BlockFormat::q5_k:
      return quantize_q5_k(x, out);
    case BlockFormat::q6_k:
      return quantize_q6_k(x, out);
    case BlockFormat::f32:
      std::memcpy(out, x.data(), 4);
      return;
    case BlockFormat::f16:
      return store16(out, to_float16(x[0]).bits);
    case BlockFormat::bf16:
      return store16(out, to_bfloat16(x[0]).bits);
    default:
      fail("rows cannot be quantised to {}", block_format_name(format));
  }
}

}  // namespace

bool can_quantize_row(BlockFormat format) {
  switch (format) {
    case BlockFormat::f8_e4m3:
    case BlockFormat::q2_k:
    case BlockFormat::q3_k:
    case BlockFormat::iq4_nl:
    case BlockFormat::iq4_xs:
      return false;
    default:
      return true;
  }
}

void quantize_row(BlockFormat format, const float* in, int64_t count, std::byte* out) {
  const int64_t elements = block_elements(format), bytes = block_bytes(format);
  require(count % elements == 0, "{} elements are no whole blocks of {}", count,
          block_format_name(format));
  uint8_t* to = reinterpret_cast<uint8_t*>(out);
  for (int64_t begin = 0; begin < count; begin += elements, to += bytes)
    quantize_block(format, Group(in + begin, static_cast<size_t>(elements)), to);
}

void quantize_f8_rows(const float* in, int64_t rows, int64_t columns, std::byte* out,
                      float* scales) {
  require(rows >= 0 && rows <= f8_scale_block, "{} rows share no FP8 scales", rows);
  for (int64_t begin = 0; begin < columns; begin += f8_scale_block, ++scales) {
    const int64_t end = std::min(columns, begin + f8_scale_block);
    float largest = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = begin; c < end; ++c)
        largest = std::max(largest, std::abs(in[r * columns + c]));
    *scales = largest > 0 ? largest / 448 : 1;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = begin; c < end; ++c)
        out[r * columns + c] = std::byte{to_float8_e4m3(in[r * columns + c] / *scales).bits};
  }
}

}  // namespace minke
