#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace minke {

FolderLock::FolderLock(const fs::path& folder, std::string who, bool inherited)
    : path_(folder / "lock"), who_(std::move(who)) {
  std::error_code code;
  made_ = fs::create_directories(folder, code);
  if (code) fail("cannot create folder {}: {}", folder.string(), code.message());
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | (inherited ? 0 : O_CLOEXEC), 0644);
  if (file_ < 0) fail("cannot write {}: {}", path_.string(), std::strerror(errno));
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) {
    tell("");
    return;
  }
  const int error = errno;
  ::close(file_);
  if (error != EWOULDBLOCK) fail("cannot lock {}: {}", path_.string(), std::strerror(error));
  fail("{} is in use by {}; wait for it to end, or end it", folder.string(), read_file(path_));
}

FolderLock::~FolderLock() {
  std::error_code ignored;
  const fs::path folder = path_.parent_path();
  const fs::directory_iterator entries(folder, ignored);
  if (made_ && std::distance(entries, fs::directory_iterator()) == 1)
    fs::remove_all(folder, ignored);
  ::close(file_);
}

void FolderLock::tell(const std::string& more) const {
  const std::string text = fmt::format("{}, process {}{}", who_, ::getpid(), more);
  if (::ftruncate(file_, 0) != 0 || ::pwrite(file_, text.data(), text.size(), 0) < 0)
    fail("cannot write {}: {}", path_.string(), std::strerror(errno));
}

}  // namespace minke
