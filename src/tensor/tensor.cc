#include "tensor/tensor.h"

namespace minke {

Tensor::Tensor(void* data, DType dtype, std::initializer_list<int64_t> dims, Device device)
    : data(static_cast<std::byte*>(data)), dtype(dtype), device(device) {
  require(dims.size() <= max_rank, "a tensor of rank {}", dims.size());
  for (const int64_t extent : dims) shape[rank++] = extent;
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    stride[i] = step;
    step *= shape[i];
  }
}

int64_t Tensor::size() const {
  int64_t count = rank ? 1 : 0;
  for (int i = 0; i < rank; ++i) count *= shape[i];
  return count;
}

int64_t Tensor::columns() const {
  int64_t count = 1;
  for (int i = 1; i < rank; ++i) count *= shape[i];
  return count;
}

bool Tensor::contiguous() const {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    if (shape[i] != 1 && stride[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

std::string Tensor::describe() const {
  std::string text = fmt::format("{} [", dtype_name(dtype));
  for (int i = 0; i < rank; ++i) text += fmt::format("{}{}", i ? ", " : "", shape[i]);
  return text + "]";
}

Tensor Tensor::slice_rows(int64_t begin, int64_t end) const {
  require(rank > 0 && 0 <= begin && begin <= end && end <= shape[0], "rows {}..{} of {}", begin,
          end, *this);
  Tensor part = *this;
  part.shape[0] = end - begin;
  if (data) part.data = data + begin * stride[0] * dtype_bytes(dtype);
  return part;
}

Tensor Tensor::slice_last(int64_t begin, int64_t end) const {
  require(rank > 0 && 0 <= begin && begin <= end && end <= shape[rank - 1], "columns {}..{} of {}",
          begin, end, *this);
  Tensor part = *this;
  part.shape[rank - 1] = end - begin;
  if (data) part.data = data + begin * dtype_bytes(dtype);
  return part;
}

Tensor Tensor::select(int64_t index) const {
  require(rank == 3 && 0 <= index && index < shape[1], "index {} of the second dimension of {}",
          index, *this);
  Tensor part = *this;
  part.rank = 2;
  part.shape[1] = shape[2];
  part.stride[1] = stride[2];
  if (data) part.data = data + index * stride[1] * dtype_bytes(dtype);
  return part;
}

Tensor Tensor::reshape(std::initializer_list<int64_t> dims) const {
  Tensor result(data, dtype, dims, device);
  require(contiguous() && result.size() == size(), "{} cannot be seen as {}", *this, result);
  return result;
}

Tensor Tensor::split_last(int64_t outer, int64_t inner) const {
  require(rank > 0 && rank < max_rank && shape[rank - 1] == outer * inner,
          "the last dimension of {} is not {} x {}", *this, outer, inner);
  Tensor result = *this;
  result.rank = rank + 1;
  result.shape[rank - 1] = outer;
  result.stride[rank - 1] = inner;
  result.shape[rank] = inner;
  result.stride[rank] = 1;
  return result;
}

}  // namespace minke
