#pragma once
// One process at a time in a folder.

#include <string>

#include "base/files.h"

namespace minke {

// FOLDER/lock, held as long as one lives; it says who holds it. Where `inherited`, processes that
// this one starts hold it too. The system frees it when the last of them ends, however it ends.
class FolderLock {
 public:
  // Makes the folder if it is not there; then it goes with the lock if nothing else came into it.
  // An Error that says by whom it is in use.
  FolderLock(const fs::path& folder, std::string who, bool inherited = false);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // more: what is said behind this process.
  void tell(const std::string& more) const;

 private:
  fs::path path_;
  std::string who_;
  bool made_ = false;
  int file_ = -1;
};

}  // namespace minke
