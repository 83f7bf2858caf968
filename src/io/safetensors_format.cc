#include "io/safetensors_format.h"

#include <array>

namespace minke {
namespace {

struct Row {
  FileDType dtype;
  std::string_view name;
  int64_t bytes;
};

constexpr std::array<Row, 11> dtypes = {{
    {FileDType::f64, "F64", 8},
    {FileDType::f32, "F32", 4},
    {FileDType::f16, "F16", 2},
    {FileDType::bf16, "BF16", 2},
    {FileDType::f8_e4m3, "F8_E4M3", 1},
    {FileDType::i64, "I64", 8},
    {FileDType::i32, "I32", 4},
    {FileDType::i16, "I16", 2},
    {FileDType::i8, "I8", 1},
    {FileDType::u8, "U8", 1},
    {FileDType::boolean, "BOOL", 1},
}};

}  // namespace

int64_t file_dtype_bytes(FileDType dtype) { return dtypes[static_cast<size_t>(dtype)].bytes; }

std::string_view file_dtype_name(FileDType dtype) {
  return dtypes[static_cast<size_t>(dtype)].name;
}

std::optional<FileDType> parse_file_dtype(std::string_view name) {
  for (const Row& row : dtypes)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

}  // namespace minke
