#pragma once
// A folder's checksum manifest, checksums.txt, in the format of sha256sum: `sha256sum -c` reads it
// too.

#include <string>

#include "base/files.h"

namespace minke {

// Writes FOLDER/checksums.txt over every regular file in and below the folder, in order of name.
void write_checksums(const fs::path& folder);

// The name of the first file that is missing, damaged or, for checksums.txt itself, unreadable; ""
// when every file is as it was.
std::string find_damaged_file(const fs::path& folder);

}  // namespace minke
