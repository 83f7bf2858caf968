// Each folder of src/ includes only what docs/architecture.md's table of floors lets it include.

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files.h"

namespace minke {
namespace {

const fs::path root = MINKE_SOURCE_DIR;

struct Floor {
  int level;
  std::set<std::string> may_include;
};

std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> parts;
  std::istringstream stream(row.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) {
    const size_t begin = cell.find_first_not_of(" `"), end = cell.find_last_not_of(" `/");
    parts.push_back(begin == std::string::npos ? "" : cell.substr(begin, end - begin + 1));
  }
  return parts;
}

// Rows "| level | `folder/` | what it owns | what it may include |".
std::map<std::string, Floor> read_floors() {
  std::map<std::string, Floor> floors;
  std::istringstream lines(read_file(root / "docs" / "architecture.md"));
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_search(line, std::regex(R"(^\| \d+ \| `\w+/` \|)"))) continue;
    const std::vector<std::string> row = cells(line);
    Floor& floor = floors[row.at(1)];
    floor.level = std::stoi(row.at(0));
    floor.may_include = {"base", row.at(1)};
    std::istringstream names(row.at(3));
    for (std::string name; std::getline(names, name, ',');) {
      name = std::regex_replace(name, std::regex(R"(\W)"), "");
      if (!name.empty()) floor.may_include.insert(name);
    }
  }
  for (auto& [name, floor] : floors)
    if (floor.may_include.erase("all") > 0)
      for (const auto& [other, its] : floors)
        if (its.level < floor.level) floor.may_include.insert(other);
  return floors;
}

std::vector<fs::path> source_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(root / "src")) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".h" || extension == ".cc") files.push_back(entry.path());
  }
  return files;
}

std::string folder_of(const fs::path& file) { return *fs::relative(file, root / "src").begin(); }

// The folders that a file includes from, by include directives of the form "folder/file".
std::set<std::string> included_folders(const fs::path& file) {
  static const std::regex directive(R"re(^\s*#\s*include\s*"(\w+)/)re");
  std::set<std::string> folders;
  std::istringstream lines(read_file(file));
  std::smatch match;
  for (std::string line; std::getline(lines, line);)
    if (std::regex_search(line, match, directive)) folders.insert(match[1]);
  return folders;
}

TEST(Layering, TheTableHasEveryFolderAndNoOther) {
  std::set<std::string> in_table, in_source;
  for (const auto& [name, floor] : read_floors()) in_table.insert(name);
  for (const fs::path& file : source_files()) in_source.insert(folder_of(file));
  EXPECT_EQ(in_table, in_source);
}

TEST(Layering, FloorsStandOnLowerOnes) {
  const auto floors = read_floors();
  for (const auto& [name, floor] : floors) {
    for (const std::string& below : floor.may_include) {
      ASSERT_TRUE(floors.contains(below))
          << name << " may include " << below << ", which is no folder";
      EXPECT_LE(floors.at(below).level, floor.level) << name << " may include " << below;
    }
  }
}

TEST(Layering, IncludesFollowTheTable) {
  const auto floors = read_floors();
  for (const fs::path& file : source_files()) {
    const auto floor = floors.find(folder_of(file));
    if (floor == floors.end()) continue;  // the first test says so
    for (const std::string& included : included_folders(file))
      EXPECT_TRUE(floor->second.may_include.contains(included))
          << file.string() << " includes from " << included << "/";
  }
}

}  // namespace
}  // namespace minke
