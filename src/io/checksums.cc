#include "io/checksums.h"

#include <set>
#include <sstream>

#include "base/error.h"

namespace minke {
namespace {

constexpr const char* manifest_name = "checksums.txt";
constexpr size_t digits = 64;

}  // namespace

std::string list_checksums(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) names.insert(fs::relative(entry.path(), folder).generic_string());
  names.erase(manifest_name);
  std::string text;
  for (const std::string& name : names)
    text += fmt::format("{}  {}\n", sha256_file(folder / name), name);
  return text;
}

std::string hash_folder(const fs::path& folder) { return sha256(list_checksums(folder)); }

void write_checksums(const fs::path& folder) {
  write_file(folder / manifest_name, list_checksums(folder));
}

std::string find_damaged_file(const fs::path& folder) {
  if (!fs::is_regular_file(folder / manifest_name)) return manifest_name;
  std::istringstream lines(read_file(folder / manifest_name));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    if (line.size() <= digits + 2 || line.substr(digits, 2) != "  ") return manifest_name;
    const std::string name = line.substr(digits + 2);
    if (!fs::is_regular_file(folder / name)) return name;
    if (sha256_file(folder / name) != line.substr(0, digits)) return name;
  }
  return count > 0 ? "" : manifest_name;
}

}  // namespace minke
