#pragma once
// What operations on tensors do, for base/profile.h.

#include <initializer_list>

#include "base/profile.h"
#include "kernels/matmul.h"

namespace minke {

// An operation that reads or writes these tensors once.
class MemoryScope : public ProfileScope {
 public:
  MemoryScope(const char* operation, std::initializer_list<Tensor> tensors)
      : ProfileScope(operation, ProfileLimit::memory, bytes_of(tensors)) {}

 private:
  static double bytes_of(std::initializer_list<Tensor> tensors) {
    double bytes = 0;
    for (const Tensor& t : tensors)
      if (t) bytes += static_cast<double>(t.bytes());
    return bytes;
  }
};

inline ProfileLimit limit_of(DType dtype) {
  return dtype == DType::f32 ? ProfileLimit::f32 : ProfileLimit::bf16;
}

// rows × columns sums over `inner` products.
inline double product_work(int64_t rows, int64_t columns, int64_t inner) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(columns) *
         static_cast<double>(inner);
}

}  // namespace minke
