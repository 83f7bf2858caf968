#pragma once
// Mapped files whose pages may not be in memory.

#include <cstddef>
#include <cstdint>

namespace minke {

// Asks the system to read so many bytes of a mapped file without waiting for them: a hint. It looks
// at every page of them, those in memory too. Thread-safe.
void read_ahead(const std::byte* data, int64_t bytes);

// Whether this process has read from a disk since the last call that said so, or since it began.
// Thread-safe.
bool has_read_from_disk();

}  // namespace minke
