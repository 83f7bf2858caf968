#pragma once
// A file read from its beginning, decompressed on the way if its first bytes say that it is gzip
// (.gz and dictd's .dz) or Zstandard.

#include <cstddef>
#include <memory>
#include <string>

#include "base/files.h"

namespace minke {

// Not thread-safe. A damaged or cut-off file is an Error that names it.
class InputStream {
 public:
  explicit InputStream(const fs::path& path);
  ~InputStream();
  InputStream(const InputStream&) = delete;

  // Appends up to `bytes` bytes to text; returns false at the end of the file.
  bool append(std::string& text, size_t bytes);

  class Decoder;

 private:
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace minke
