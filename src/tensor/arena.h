#pragma once
// Memory for tensors. An arena owns one block of a device and hands out views of it; a counting
// arena hands out views without data, so that the code which allocates is also the memory plan.

#include "tensor/tensor.h"

namespace minke {

// Hands out memory in order, aligned to 64 bytes, never moves it, and frees it all at once. Not
// thread-safe. Views die with the arena.
class Arena {
 public:
  // Counts only: allocate() returns views with data == nullptr.
  static Arena counting(Device device = Device::cpu);
  // A zeroed block. Throws Error if the system refuses it.
  explicit Arena(int64_t bytes, Device device = Device::cpu);
  ~Arena();
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;

  Tensor allocate(DType dtype, std::initializer_list<int64_t> shape);
  bool is_counting() const { return block_ == nullptr; }
  int64_t used() const { return used_; }

  // Position to return to: what was allocated after mark() is free again after release(mark).
  int64_t mark() const { return used_; }
  void release(int64_t mark) { used_ = mark; }
  // The most that was ever in use at once.
  int64_t high_water() const { return high_water_; }

 private:
  Arena() = default;
  std::byte* block_ = nullptr;
  int64_t capacity_ = 0, used_ = 0, high_water_ = 0;
  Device device_ = Device::cpu;
};

}  // namespace minke
