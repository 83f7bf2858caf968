#include "io/gguf_format.h"

#include <array>

namespace minke {
namespace {

struct TypeNumber {
  BlockFormat format;
  uint32_t number;
};

// enum ggml_type in ggml's ggml.h.
constexpr std::array type_numbers = {
    TypeNumber{BlockFormat::f32, 0},     TypeNumber{BlockFormat::f16, 1},
    TypeNumber{BlockFormat::q4_0, 2},    TypeNumber{BlockFormat::q4_1, 3},
    TypeNumber{BlockFormat::q5_0, 6},    TypeNumber{BlockFormat::q5_1, 7},
    TypeNumber{BlockFormat::q8_0, 8},    TypeNumber{BlockFormat::q2_k, 10},
    TypeNumber{BlockFormat::q3_k, 11},   TypeNumber{BlockFormat::q4_k, 12},
    TypeNumber{BlockFormat::q5_k, 13},   TypeNumber{BlockFormat::q6_k, 14},
    TypeNumber{BlockFormat::iq4_nl, 20}, TypeNumber{BlockFormat::iq4_xs, 23},
    TypeNumber{BlockFormat::bf16, 30},
};

struct OtherType {
  uint32_t number;
  std::string_view name;
};

constexpr std::array other_types = {
    OtherType{9, "Q8_1"},    OtherType{15, "Q8_K"},    OtherType{16, "IQ2_XXS"},
    OtherType{17, "IQ2_XS"}, OtherType{18, "IQ3_XXS"}, OtherType{19, "IQ1_S"},
    OtherType{21, "IQ3_S"},  OtherType{22, "IQ2_S"},   OtherType{24, "I8"},
    OtherType{25, "I16"},    OtherType{26, "I32"},     OtherType{27, "I64"},
    OtherType{28, "F64"},    OtherType{29, "IQ1_M"},   OtherType{34, "TQ1_0"},
    OtherType{35, "TQ2_0"},  OtherType{39, "MXFP4"},
};

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  constexpr std::array<std::string_view, 13> names = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                      "i32", "f32", "bool", "string", "array",
                                                      "u64", "i64", "f64"};
  const auto index = static_cast<size_t>(type);
  return index < names.size() ? names[index] : "?";
}

size_t gguf_type_bytes(GgufType type) {
  constexpr std::array<size_t, 13> bytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  const auto index = static_cast<size_t>(type);
  return index < bytes.size() ? bytes[index] : 0;
}

std::optional<uint32_t> ggml_type_of(BlockFormat format) {
  for (const TypeNumber& entry : type_numbers)
    if (entry.format == format) return entry.number;
  return std::nullopt;
}

std::optional<BlockFormat> block_format_of_ggml(uint32_t type) {
  for (const TypeNumber& entry : type_numbers)
    if (entry.number == type) return entry.format;
  return std::nullopt;
}

std::string_view ggml_type_name(uint32_t type) {
  for (const OtherType& entry : other_types)
    if (entry.number == type) return entry.name;
  return "unknown";
}

}  // namespace minke
