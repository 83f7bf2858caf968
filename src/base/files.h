#pragma once
// Files: read whole, mapped, and written whole or not at all. Every failure is an Error that names
// the path and the system's reason.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace minke {

namespace fs = std::filesystem;

// The whole file. Refuses one larger than max_bytes.
std::string read_file(const fs::path& path, int64_t max_bytes = int64_t{1} << 31);

// Writes the file under a temporary name beside it, syncs it to disk, renames it: a reader sees the
// old content or the new one, and a full disk leaves the old one.
void write_file(const fs::path& path, std::string_view content);

// A file that is written in pieces and appears at commit(); without it nothing appears.
// Movable, not copyable. Not thread-safe.
class AtomicFile {
 public:
  explicit AtomicFile(fs::path path);
  ~AtomicFile();
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  int64_t bytes_written() const { return written_; }
  void commit();

 private:
  fs::path path_, temporary_;
  int descriptor_ = -1;
  int64_t written_ = 0;
};

// A folder that is filled under a temporary name and appears whole at commit(), replacing one of
// the same name; without it nothing appears.
class AtomicFolder {
 public:
  explicit AtomicFolder(fs::path path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const fs::path& path() const { return temporary_; }  // write here
  void commit();

 private:
  fs::path path_, temporary_;
  bool committed_ = false;
};

// A file mapped read-only. Owns the mapping; the bytes live as long as it does. Movable.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// SHA-256 as 64 hexadecimal digits.
std::string sha256(std::string_view content);
std::string sha256_file(const fs::path& path);

}  // namespace minke
