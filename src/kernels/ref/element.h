#pragma once
// One element of a tensor of either floating dtype; for code that need not be fast.

#include "tensor/tensor.h"

namespace minke::ref {

inline float load(const Tensor& t, int64_t index) {
  if (t.dtype == DType::bf16) return to_float(reinterpret_cast<const BFloat16*>(t.data)[index]);
  return reinterpret_cast<const float*>(t.data)[index];
}

inline void store(const Tensor& t, int64_t index, float value) {
  if (t.dtype == DType::bf16)
    reinterpret_cast<BFloat16*>(t.data)[index] = to_bfloat16(value);
  else
    reinterpret_cast<float*>(t.data)[index] = value;
}

// The value that `dtype` keeps of it.
inline float rounded(float value, DType dtype) {
  return dtype == DType::bf16 ? to_float(to_bfloat16(value)) : value;
}

}  // namespace minke::ref
