#pragma once
// One element of a tensor of either floating dtype; for code that need not be fast.

#include "tensor/tensor.h"

namespace minke::ref {

inline float load(const Tensor& t, int64_t index) {
  return t.dtype == DType::bf16 ? to_float(t.as<BFloat16>()[index]) : t.as<float>()[index];
}

inline void store(const Tensor& t, int64_t index, float value) {
  if (t.dtype == DType::bf16)
    t.as<BFloat16>()[index] = to_bfloat16(value);
  else
    t.as<float>()[index] = value;
}

// The value that `dtype` keeps of it.
inline float rounded(float value, DType dtype) {
  return dtype == DType::bf16 ? to_float(to_bfloat16(value)) : value;
}

}  // namespace minke::ref
