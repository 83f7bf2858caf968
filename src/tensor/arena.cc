#include "tensor/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace minke {

Arena Arena::counting(Device device) {
  Arena arena;
  arena.device_ = device;
  return arena;
}

Arena::Arena(int64_t bytes, Device device)
    : capacity_(std::max<int64_t>(bytes, 64)), device_(device) {
  void* block = ::mmap(nullptr, static_cast<size_t>(capacity_), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) fail("cannot allocate {:.1f} MiB of memory", capacity_ / 1048576.0);
  ::madvise(block, static_cast<size_t>(capacity_), MADV_HUGEPAGE);  // fewer TLB misses; a hint only
  // No child process reads tensors, and copying the page tables of gigabytes takes long.
  ::madvise(block, static_cast<size_t>(capacity_), MADV_DONTFORK);
  block_ = static_cast<std::byte*>(block);
}

Arena::~Arena() {
  if (block_) ::munmap(block_, static_cast<size_t>(capacity_));
}

Arena::Arena(Arena&& other) noexcept { *this = std::move(other); }

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(capacity_, other.capacity_);
  std::swap(used_, other.used_);
  std::swap(high_water_, other.high_water_);
  std::swap(device_, other.device_);
  return *this;
}

Tensor Arena::allocate(DType dtype, std::initializer_list<int64_t> shape) {
  Tensor view(nullptr, dtype, shape, device_);
  const int64_t bytes = (view.bytes() + 63) / 64 * 64;
  require(is_counting() || used_ + bytes <= capacity_,
          "arena of {} bytes: {} used, {} more asked for", capacity_, used_, bytes);
  if (block_) view.data = block_ + used_;
  used_ += bytes;
  high_water_ = std::max(high_water_, used_);
  return view;
}

}  // namespace minke
