#if defined(__x86_64__)
// Products of few rows with weights as a file has them (StoredProduct of integers.h). A panel would
// be used once, so none is made: each row of the weight is multiplied by itself, and a tree of
// additions brings the sums of rows side by side. AVX-512 takes these too, as they wait for memory.

#include "kernels/block_levels.h"
#include "kernels/cpu/integer_product.h"

namespace minke::cpu {
namespace {

// Sixteen bytes of each of two rows.
using Bytes = __m256i;

inline Bytes load_two(const char* first, const char* second) {
  return _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(first))),
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(second)), 1);
}
inline Bytes bit_or(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
// (x >> shift & mask) << to of each byte.
inline Bytes bits_of(Bytes x, int shift, int mask, int to = 0) {
  const Bytes bits =
      _mm256_and_si256(_mm256_srli_epi16(x, shift), _mm256_set1_epi8(static_cast<char>(mask)));
  return to ? _mm256_slli_epi16(bits, to) : bits;
}
inline Bytes twice(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline Bytes look_up(Bytes nibbles, const int8_t* table) {
  return _mm256_shuffle_epi8(twice(table), nibbles);
}
// Bits 16·half and on of a word of each row as 0 or `value`.
inline Bytes spread_bits(const char* first, const char* second, int half, int value) {
  const __m256i words = _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_cvtsi32_si128(static_cast<int>(word_at(first)))),
      _mm_cvtsi32_si128(static_cast<int>(word_at(second))), 1);
  const int64_t ones = 0x0101010101010101;
  const __m256i own_byte = half == 0 ? _mm256_set_epi64x(ones, 0, ones, 0)
                                     : _mm256_set_epi64x(3 * ones, 2 * ones, 3 * ones, 2 * ones);
  const __m256i own_bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(words, own_byte), own_bit);
  return _mm256_and_si256(_mm256_cmpeq_epi8(bits, own_bit),
                          _mm256_set1_epi8(static_cast<char>(value)));
}
// The numbers that byte i of each word is.
inline W signed_byte(W x, int i) {
  return {_mm256_srai_epi32(_mm256_slli_epi32(x.low, 24 - 8 * i), 24),
          _mm256_srai_epi32(_mm256_slli_epi32(x.high, 24 - 8 * i), 24)};
}

// x + y, sums that now count `products` products of a value and a code of at most `most` (128: with
// a sign): in 16 bits while they fit there.
constexpr bool fits16(int most, int products) { return most * products * 127 < 32768; }
template <int most, int products>
inline __m256i add_sums(__m256i x, __m256i y) {
  if constexpr (fits16(most, products)) return _mm256_add_epi16(x, y);
  if constexpr (fits16(most, products / 2)) {
    x = _mm256_madd_epi16(x, _mm256_set1_epi16(1));
    y = _mm256_madd_epi16(y, _mm256_set1_epi16(1));
  }
  return _mm256_add_epi32(x, y);
}

template <int most>
inline __m256i multiply_pairs(Bytes codes, __m256i a) {
  if constexpr (most == 128)
    return _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(a, codes));
  return _mm256_maddubs_epi16(codes, a);
}

// Four vectors, each with two rows' sums of n products: all eight rows' sums, in order.
template <int most, int n>
inline __m256i join_sums(const __m256i (&x)[4]) {
  const __m256i ab =
      add_sums<most, 2 * n>(_mm256_unpacklo_epi32(x[0], x[1]), _mm256_unpackhi_epi32(x[0], x[1]));
  const __m256i cd =
      add_sums<most, 2 * n>(_mm256_unpacklo_epi32(x[2], x[3]), _mm256_unpackhi_epi32(x[2], x[3]));
  const __m256i all =
      add_sums<most, 4 * n>(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
  return fits16(most, 4 * n) ? _mm256_madd_epi16(all, _mm256_set1_epi16(1)) : all;
}

// Eight rows' products with a group, of which codes[i] has both halves of rows i and i + 4. The
// sums of another part begin sixteen words later.
template <int most, int parts>
inline void dot_eight(uint32_t* sums, const Bytes (&codes)[4][2], const int8_t* a) {
  const __m256i first = twice(a), second = twice(a + 16);
  __m256i x[4], y[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    x[i] = multiply_pairs<most>(codes[i][0], first);
    y[i] = multiply_pairs<most>(codes[i][1], second);
    if constexpr (parts == 1) x[i] = add_sums<most, 4>(x[i], y[i]);
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), join_sums<most, 4 / parts>(x));
  if constexpr (parts == 2)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 16), join_sums<most, 2>(y));
}

// Both halves of group g of two rows' blocks `a` and `b`: numbers in formats that store or look up
// such, otherwise codes.
template <BlockFormat format>
inline void load_group(Bytes (&half)[2], const char* a, const char* b, int g) {
  const auto nibbles = [&](int64_t at) {
    const Bytes both = load_two(a + at, b + at);
    half[0] = bits_of(both, 0, 15);
    half[1] = bits_of(both, 4, 15);
  };
  const auto load = [&](int64_t at, int i) { return load_two(a + at + 16 * i, b + at + 16 * i); };
  if constexpr (format == BlockFormat::q4_0 || format == BlockFormat::iq4_nl) nibbles(2);
  if constexpr (format == BlockFormat::q4_1) nibbles(4);
  if constexpr (format == BlockFormat::q5_0) nibbles(6);
  if constexpr (format == BlockFormat::q5_1) nibbles(8);
  if constexpr (format == BlockFormat::iq4_xs) nibbles(8 + 16 * g);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    if constexpr (format == BlockFormat::q5_0)
      half[i] = bit_or(half[i], spread_bits(a + 2, b + 2, i, 16));
    if constexpr (format == BlockFormat::q5_1)
      half[i] = bit_or(half[i], spread_bits(a + 4, b + 4, i, 16));
    if constexpr (format == BlockFormat::iq4_nl || format == BlockFormat::iq4_xs)
      half[i] = look_up(half[i], iq4_values.data());
    if constexpr (format == BlockFormat::q8_0) half[i] = load(2, i);
    if constexpr (format == BlockFormat::q2_k)
      half[i] = bits_of(load(16 + g / 4 * 32, i), g % 4 * 2, 3);
    if constexpr (format == BlockFormat::q3_k)
      half[i] =
          bit_or(bits_of(load(32 + g / 4 * 32, i), g % 4 * 2, 3), bits_of(load(0, i), g, 1, 2));
    if constexpr (format == BlockFormat::q4_k)
      half[i] = bits_of(load(16 + g / 2 * 32, i), g % 2 * 4, 15);
    if constexpr (format == BlockFormat::q5_k)
      half[i] =
          bit_or(bits_of(load(48 + g / 2 * 32, i), g % 2 * 4, 15), bits_of(load(16, i), g, 1, 4));
    if constexpr (format == BlockFormat::q6_k)
      half[i] = bit_or(bits_of(load(g / 4 * 64 + g % 2 * 32, i), g % 4 / 2 * 4, 15),
                       bits_of(load(128 + g / 4 * 32, i), g % 4 * 2, 3, 4));
  }
}

// Bits of a code.
constexpr int code_bits(BlockFormat format) {
  switch (format) {
    case BlockFormat::q2_k:
      return 2;
    case BlockFormat::q3_k:
      return 3;
    case BlockFormat::q5_0:
    case BlockFormat::q5_1:
    case BlockFormat::q5_k:
      return 5;
    case BlockFormat::q6_k:
      return 6;
    case BlockFormat::q8_0:
      return 8;
    default:
      return 4;
  }
}

// Bytes of a group that has its own f16 scale, and minimum; about those of the others.
template <BlockFormat format>
constexpr int64_t group_bytes = 4 * code_bits(format) + (block_scheme(format).mins ? 4 : 2);

// Whether load_group() gives numbers.
constexpr bool has_sign(BlockFormat format) {
  return format == BlockFormat::q8_0 || block_scheme(format).table;
}

// The scales and minima of a chunk of sixteen rows.
template <BlockFormat format>
struct StoredLevels {
  static constexpr BlockScheme scheme = block_scheme(format);

  void read(const StoredProduct& t, int64_t groups) {
    for (int j = 0; j < 16; ++j) {
      const char* in = t.row[j];
      if constexpr (scheme.two_levels) {
        uint32_t scale_words[4], min_words[4];
        const uint8_t* block = reinterpret_cast<const uint8_t*>(in);
        read_level_codes(format, block, scale_words, min_words);
        scales_[0][j] = stored_scale(format, block);
        if (scheme.mins) mins_[0][j] = stored_min(format, block);
#pragma GCC unroll 4
        for (int i = 0; i < 64 / scheme.group; ++i) {
          scale_codes_[i][j] = scale_words[i];
          if (scheme.mins) min_codes_[i][j] = min_words[i];
        }
      } else if (groups == chunk_groups) {
#pragma GCC unroll 8
        for (int g = 0; g < chunk_groups; ++g) read_level(in + g * group_bytes<format>, g, j);
      } else {
        for (int g = 0; g < groups; ++g) read_level(in + g * group_bytes<format>, g, j);
      }
    }
  }
  V scale(int part) const { return level(scales_, scale_codes_, part); }
  V min(int part) const { return level(mins_, min_codes_, part); }

 private:
  void read_level(const char* in, int g, int j) {
    std::memcpy(&scales_[g][j], in, 2);
    if (scheme.mins) std::memcpy(&mins_[g][j], in + 2, 2);
  }
  static V level(const uint16_t (&halves)[8][16], const uint32_t (&codes)[4][16], int part) {
    const V unit = load_f16(reinterpret_cast<const char*>(halves[scheme.two_levels ? 0 : part]));
    if (!scheme.two_levels) return unit;
    return mul(unit, numbers(signed_byte(load_words(codes[part / 4]), part % 4)));
  }

  uint16_t scales_[8][16], mins_[8][16];
  uint32_t scale_codes_[4][16], min_codes_[4][16];  // four parts in a word
};

// Asks for as much memory as a group of sixteen rows takes. Rows side by side are more streams than
// the hardware reads ahead.
template <int bits>
inline void prefetch_group_of_rows(const char* next) {
#pragma GCC unroll 9
  for (int i = 0; i < bits + 1; ++i) __builtin_prefetch(next + 64 * i, 0, 2);
}

// y of one row after a group whose sums these are.
template <BlockFormat format, Packing packing>
inline V add_group(V y, const uint32_t* sums, const RoundedRows& a, const V* scale, const V* min) {
  constexpr BlockScheme scheme = block_scheme(format);
  constexpr bool has_start = !has_sign(format) && scheme.zero != 0;
#pragma GCC unroll 2
  for (int part = 0; part < integer_group / scheme.group; ++part) {
    W products = load_words(sums + 16 * part);
    if constexpr (has_start) {  // that of the packing's zero
      const int start = a.start[part] / (integer_scheme(packing).zero / scheme.zero);
      products = add_words(products, splat_word(static_cast<uint32_t>(start)));
    }
    y = add_part(y, scale[part], a.scale, products);
    if constexpr (scheme.mins) {
      const V product = mul(min[part], splat(a.sum[part]));
      y = scheme.two_levels ? sub(y, product) : add(y, product);  // one level: as it is stored
    }
  }
  return y;
}

// Up to 256 elements, for up to most_rows rows.
template <BlockFormat format, Packing packing, int most_rows>
inline void multiply_stored_chunk(const StoredProduct& t, int groups) {
  const int64_t rows = most_rows == 1 ? 1 : t.rows;
  constexpr BlockScheme scheme = block_scheme(format);
  constexpr int parts = integer_group / scheme.group, bits = code_bits(format);
  constexpr int most = has_sign(format) ? 128 : (1 << bits) - 1;
  StoredLevels<format> levels;
  levels.read(t, groups);
  RoundedRows a = t.a;
  for (int g = 0; g < groups; ++g) {
    prefetch_group_of_rows<bits>(t.next + 16 * g * group_bytes<format>);
    const int64_t block = scheme.two_levels ? 0 : g * group_bytes<format>;
    uint32_t sums[most_rows][parts * 16];
#pragma GCC unroll 2
    for (int j = 0; j < 16; j += 8) {
      Bytes codes[4][2];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i)
        load_group<format>(codes[i], t.row[i + j] + block, t.row[i + j + 4] + block, g);
      for (int64_t r = 0; r < rows; ++r)
        dot_eight<most, parts>(sums[r] + j, codes, a.value + r * a.inner);
    }
    V scale[parts], min[parts];
#pragma GCC unroll 2
    for (int part = 0; part < parts; ++part) {
      scale[part] = levels.scale(g * parts + part);
      if constexpr (scheme.mins) min[part] = levels.min(g * parts + part);
    }
    for (int64_t r = 0; r < rows; ++r) {
      float* c = t.c + r * t.c_row;
      store(c, add_group<format, packing>(load(c), sums[r], rows_from(a, r), scale, min));
    }
    a.value += integer_group;
    a.scale += 1;
    a.start += parts;
    a.sum += parts;
  }
}

template <BlockFormat format, Packing packing>
void multiply_stored(const StoredProduct& product) {
  StoredProduct t = product;
  constexpr BlockScheme scheme = block_scheme(format);
  for (; t.groups > 0; t.groups -= chunk_groups) {
    const int groups = t.groups < chunk_groups ? static_cast<int>(t.groups) : chunk_groups;
    const int64_t bytes = (scheme.two_levels ? 1 : groups) * t.block_bytes;
    if (t.rows == 1)
      multiply_stored_chunk<format, packing, 1>(t, groups);
    else
      multiply_stored_chunk<format, packing, few_rows>(t, groups);
    t.next += 16 * bytes;
    for (const char*& row : t.row) row += bytes;
    t.a.value += groups * integer_group;
    t.a.scale += groups;
    t.a.start += groups * (integer_group / scheme.group);
    t.a.sum += groups * (integer_group / scheme.group);
  }
}

}  // namespace

extern const StoredKernels avx2_stored = {
    {multiply_stored<BlockFormat::q4_0, Packing::q4>,
     multiply_stored<BlockFormat::q4_1, Packing::q4_min>,
     multiply_stored<BlockFormat::q5_0, Packing::q8>,
     multiply_stored<BlockFormat::q5_1, Packing::q8_min>,
     multiply_stored<BlockFormat::q8_0, Packing::q8>,
     multiply_stored<BlockFormat::q2_k, Packing::k8_16_min>,
     multiply_stored<BlockFormat::q3_k, Packing::k8_16>,
     multiply_stored<BlockFormat::q4_k, Packing::k4_min>,
     multiply_stored<BlockFormat::q5_k, Packing::k8_min>,
     multiply_stored<BlockFormat::q6_k, Packing::k8_16>,
     multiply_stored<BlockFormat::iq4_nl, Packing::q4_table>,
     multiply_stored<BlockFormat::iq4_xs, Packing::k4_table>}};

}  // namespace minke::cpu
#endif
