#pragma once
// A folder's checksum manifest, checksums.txt, in the format of sha256sum: `sha256sum -c` reads it
// too.

#include <string>

#include "base/files.h"

namespace minke {

// The manifest's text: "digest  name" for every regular file in and below the folder, in order of
// name, checksums.txt excepted.
std::string list_checksums(const fs::path& folder);

// One SHA-256 for a folder's whole content: that of its list.
std::string hash_folder(const fs::path& folder);

// Writes FOLDER/checksums.txt.
void write_checksums(const fs::path& folder);

// The name of the first file that is missing, damaged or, for checksums.txt itself, unreadable; ""
// when every file is as it was.
std::string find_damaged_file(const fs::path& folder);

}  // namespace minke
