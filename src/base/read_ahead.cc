#include "base/read_ahead.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>

namespace minke {

void read_ahead(const std::byte* data, int64_t bytes) {
  static const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t inside = reinterpret_cast<uintptr_t>(data) % page;  // the call wants whole pages
  ::madvise(const_cast<std::byte*>(data) - inside, static_cast<size_t>(bytes) + inside,
            MADV_WILLNEED);
}

bool has_read_from_disk() {
  static std::atomic<int64_t> before = 0;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return before.exchange(usage.ru_inblock, std::memory_order_relaxed) != usage.ru_inblock;
}

}  // namespace minke
