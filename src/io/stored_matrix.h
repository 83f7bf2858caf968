#pragma once
// A file's tensor as a matrix in the format in which it is stored.

#include "io/gguf.h"
#include "io/safetensors.h"
#include "tensor/block_format.h"

namespace minke {

// The block format of a safetensors dtype; nothing for those that weights do not have.
std::optional<BlockFormat> block_format_of(FileDType dtype);
// The other way; a format that safetensors files do not have is an Error.
FileDType file_dtype_of(BlockFormat format);

// Views of a tensor of rank 1 (one row) or 2; another rank or dtype is an Error. An F8_E4M3 tensor
// brings its scales, the reader's F32 tensor NAME_scale_inv [ceil(rows / 128), ceil(columns /
// 128)], without which there is an Error. The bytes belong to the reader.
StoredMatrix stored_matrix(const SafetensorsReader& reader, const StoredTensor& tensor);
// Of rank 3 too, whose matrices stand one below the other.
StoredMatrix stored_matrix(const GgufTensor& tensor);

}  // namespace minke
