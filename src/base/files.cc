#include "base/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"

namespace minke {
namespace {

[[noreturn]] void fail_system(std::string_view what, const fs::path& path) {
  fail("{} {}: {}", what, path.string(), std::strerror(errno));
}

struct Descriptor {
  int value;
  Descriptor(const fs::path& path, int flags) : value(::open(path.c_str(), flags | O_CLOEXEC)) {
    if (value < 0) fail_system("cannot open", path);
  }
  ~Descriptor() { ::close(value); }
  Descriptor(const Descriptor&) = delete;
};

int64_t file_size(int descriptor, const fs::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_system("cannot read", path);
  if (S_ISDIR(status.st_mode))
    fail("cannot read {}: it is a folder, a file was expected", path.string());
  return status.st_size;
}

// The next bytes of a file, 0 at its end.
size_t read_some(int descriptor, std::span<char> buffer, const fs::path& path) {
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) fail_system("cannot read", path);
  }
}

// A rename is on disk only when its folder is.
void sync_folder(const fs::path& folder) {
  const Descriptor descriptor(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  ::fsync(descriptor.value);
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_system("cannot rename to", to);
}

// Puts a folder in the place of another one in one step, where the file system can, so that a
// reader and a process that is killed always leave one of the two.
bool exchange_paths(const fs::path& one, const fs::path& other) {
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0)
    return true;
  if (errno == EINVAL || errno == ENOSYS) return false;
  fail_system("cannot replace", other);
}

fs::path temporary_name(const fs::path& path) {
  fs::path name = path;
  name += fmt::format(".tmp-{}", ::getpid());
  return name;
}

// Of a link what it leads to. "models/new/" and "." have no name to which an ending could be added.
fs::path folder_with_name(const fs::path& path) {
  std::error_code code;
  const fs::path whole = fs::weakly_canonical(path, code);
  if (code) fail("cannot create folder {}: {}", path.string(), code.message());
  return whole.has_filename() ? whole : whole.parent_path();
}

class Sha256 {
 public:
  Sha256() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(const void* data, size_t bytes) { EVP_DigestUpdate(context_.get(), data, bytes); }
  std::string hex() {
    unsigned char digest[32];
    EVP_DigestFinal_ex(context_.get(), digest, nullptr);
    std::string text;
    for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free};
};

}  // namespace

std::string read_file(const fs::path& path, int64_t max_bytes) {
  const Descriptor file(path, O_RDONLY);
  const int64_t size = file_size(file.value, path);
  if (size > max_bytes)
    fail("{} has {} bytes, at most {} were expected here", path.string(), size, max_bytes);
  std::string content;
  std::vector<char> buffer(1 << 16);
  while (const size_t count = read_some(file.value, buffer, path)) {
    content.append(buffer.data(), count);
    if (static_cast<int64_t>(content.size()) > max_bytes)
      fail("{} has more than the {} bytes expected here", path.string(), max_bytes);
  }
  return content;
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), temporary_(temporary_name(path_)) {
  // A rename would put a file in the place of a device or a pipe.
  if (std::error_code code; fs::exists(path_, code) && !fs::is_regular_file(path_, code))
    fail("cannot write {}: it is a {}, a file was expected", path_.string(),
         fs::is_directory(path_, code) ? "folder" : "device or a pipe");
  if (path_.has_parent_path()) {
    std::error_code code;
    fs::create_directories(path_.parent_path(), code);
    if (code) fail("cannot create folder {}: {}", path_.parent_path().string(), code.message());
  }
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_system("cannot write", path_);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      written_(other.written_) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  written_ += static_cast<int64_t>(bytes);
  while (bytes > 0) {
    const ssize_t count = ::write(descriptor_, next, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_system("cannot write", path_);
    next += count;
    bytes -= static_cast<size_t>(count);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_system("cannot write", path_);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_system("cannot write", path_);
  rename_path(temporary_, path_);
  sync_folder(path_.parent_path());
}

AtomicFolder::AtomicFolder(fs::path path)
    : path_(folder_with_name(path)), temporary_(temporary_name(path_)) {
  std::error_code code;
  fs::remove_all(temporary_, code);
  fs::create_directories(temporary_, code);
  if (code) fail("cannot create folder {}: {}", temporary_.string(), code.message());
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  sync_folder(temporary_);
  const bool replaces = fs::exists(path_);
  fs::path old = temporary_;
  if (replaces && !exchange_paths(temporary_, path_)) {
    old = path_;
    old += fmt::format(".old-{}", ::getpid());
    rename_path(path_, old);
    rename_path(temporary_, path_);
  } else if (!replaces) {
    rename_path(temporary_, path_);
  }
  sync_folder(path_.parent_path());
  committed_ = true;
  if (replaces) fs::remove_all(old);
}

MappedFile::MappedFile(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  size_ = static_cast<size_t>(file_size(file.value, path));
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.value, 0);
  if (address == MAP_FAILED) fail_system("cannot map", path);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string sha256(std::string_view content) {
  Sha256 digest;
  digest.add(content.data(), content.size());
  return digest.hex();
}

// Read in pieces: a mapping would count as this process's memory.
std::string sha256_file(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  file_size(file.value, path);
  Sha256 digest;
  std::vector<char> buffer(1 << 20);
  while (const size_t count = read_some(file.value, buffer, path)) digest.add(buffer.data(), count);
  return digest.hex();
}

}  // namespace minke
