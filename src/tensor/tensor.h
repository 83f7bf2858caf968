#pragma once
// A typed, strided view on memory that somebody else owns.

#include <array>
#include <initializer_list>
#include <string>

#include "tensor/dtype.h"

namespace minke {

// Where memory lies. kernels/ picks an implementation by it.
enum class Device : uint8_t { cpu };

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};

// Up to 4 dimensions, row-major unless sliced; the last dimension is always contiguous. Copying a
// view copies no data. An empty view (data == nullptr) stands for "not there".
struct Tensor {
  static constexpr int max_rank = 4;

  std::byte* data = nullptr;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  int rank = 0;
  std::array<int64_t, max_rank> shape{};
  std::array<int64_t, max_rank> stride{};  // in elements

  Tensor() = default;
  // A contiguous view.
  Tensor(void* data, DType dtype, std::initializer_list<int64_t> shape,
         Device device = Device::cpu);

  explicit operator bool() const { return data != nullptr; }
  int64_t size() const;  // elements
  int64_t bytes() const { return size() * dtype_bytes(dtype); }
  bool contiguous() const;
  std::string describe() const;  // "bf16 [2, 3]"

  int64_t rows() const { return shape[0]; }
  // Elements of one row when all dimensions after the first are seen as one.
  int64_t columns() const;
  // Elements from one row to the next.
  int64_t row_stride() const { return stride[0]; }

  // Rows [begin, end) of the first dimension.
  Tensor slice_rows(int64_t begin, int64_t end) const;
  // Elements [begin, end) of the last dimension.
  Tensor slice_last(int64_t begin, int64_t end) const;
  // Index `index` of the second dimension: [T, H, n] to [T, n].
  Tensor select(int64_t index) const;
  // The same elements in another shape; contiguous views only.
  Tensor reshape(std::initializer_list<int64_t> shape) const;
  // [rows, a·b] as [rows, a, b]: splits the last dimension, which works on column slices too.
  Tensor split_last(int64_t outer, int64_t inner) const;

  // The data as T. The dtype is checked.
  template <typename T>
  T* as() const {
    require(dtype == DTypeOf<T>::value, "a {} tensor was read as {}", dtype_name(dtype),
            dtype_name(DTypeOf<T>::value));
    return reinterpret_cast<T*>(data);
  }
  // First element of row i.
  template <typename T>
  T* row(int64_t i) const {
    return as<T>() + i * stride[0];
  }
};

}  // namespace minke

// A tensor in a message, as describe() has it; formatted only when the message is needed.
template <>
struct fmt::formatter<minke::Tensor> : fmt::formatter<std::string> {
  auto format(const minke::Tensor& tensor, fmt::format_context& context) const {
    return fmt::formatter<std::string>::format(tensor.describe(), context);
  }
};
