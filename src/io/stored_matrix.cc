#include "io/stored_matrix.h"

#include "base/error.h"

namespace minke {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

const std::byte* find_scales(const SafetensorsReader& reader, const StoredTensor& tensor,
                             const StoredMatrix& matrix) {
  const std::vector<int64_t> shape = {ceil_div(matrix.rows, f8_scale_block),
                                      ceil_div(matrix.columns, f8_scale_block)};
  const StoredTensor& scales = reader.get(tensor.name + "_scale_inv", shape);
  if (scales.dtype != FileDType::f32)
    fail("{}: tensor '{}' is {}, expected F32", scales.file, scales.name, scales.describe());
  return scales.data.data();
}

}  // namespace

std::optional<BlockFormat> block_format_of(FileDType dtype) {
  switch (dtype) {
    case FileDType::f32:
      return BlockFormat::f32;
    case FileDType::f16:
      return BlockFormat::f16;
    case FileDType::bf16:
      return BlockFormat::bf16;
    case FileDType::f8_e4m3:
      return BlockFormat::f8_e4m3;
    default:
      return std::nullopt;
  }
}

FileDType file_dtype_of(BlockFormat format) {
  for (const FileDType dtype :
       {FileDType::f32, FileDType::f16, FileDType::bf16, FileDType::f8_e4m3})
    if (block_format_of(dtype) == format) return dtype;
  fail("safetensors files have no {}", block_format_name(format));
}

StoredMatrix stored_matrix(const SafetensorsReader& reader, const StoredTensor& tensor) {
  const auto format = block_format_of(tensor.dtype);
  const size_t rank = tensor.shape.size();
  if (!format || rank < 1 || rank > 2)
    fail("{}: tensor '{}' is {}, expected a matrix or vector of F32, F16, BF16 or F8_E4M3",
         tensor.file, tensor.name, tensor.describe());
  StoredMatrix matrix{*format, rank == 2 ? tensor.shape[0] : 1, tensor.shape.back(),
                      tensor.data.data()};
  if (*format == BlockFormat::f8_e4m3) matrix.scales = find_scales(reader, tensor, matrix);
  return matrix;
}

StoredMatrix stored_matrix(const GgufTensor& tensor) {
  if (tensor.shape.size() > 3)
    fail("{}: tensor '{}' is {}, expected at most three dimensions", tensor.file, tensor.name,
         tensor.describe());
  return {tensor.format, tensor.size() / tensor.shape.back(), tensor.shape.back(),
          tensor.data.data()};
}

}  // namespace minke
