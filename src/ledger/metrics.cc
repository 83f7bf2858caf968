#include "ledger/metrics.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

struct Line {
  Json value;
  size_t end;  // offset of the byte after its line break
};

// The whole lines of the file. What follows the last line break was cut short by a crash.
std::vector<Line> read_lines(const fs::path& path) {
  if (!fs::exists(path)) return {};
  const std::string text = read_file(path);
  std::vector<Line> lines;
  size_t begin = 0;
  for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    Json value = Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (!value.is_object() || !value.contains("step") || !value["step"].is_number_integer())
      fail("{}: line {} is damaged", path.string(), lines.size() + 1);
    lines.push_back({std::move(value), end + 1});
  }
  return lines;
}

}  // namespace

MetricsWriter::MetricsWriter(const fs::path& path, int64_t last_step)
    : path_(path), file_(nullptr, &std::fclose) {
  size_t keep = 0;
  if (last_step >= 0)
    for (const Line& line : read_lines(path))
      if (line.value["step"].get<int64_t>() <= last_step) keep = line.end;
  if (path.has_parent_path()) fs::create_directories(path.parent_path());
  if (fs::exists(path)) fs::resize_file(path, keep);
  file_.reset(std::fopen(path.c_str(), "a"));
  if (!file_) fail("cannot write {}: {}", path.string(), std::strerror(errno));
}

void MetricsWriter::write(const Json& line) {
  require(line.is_object() && line.contains("step"), "a line of metrics without its step");
  const std::string text = line.dump() + "\n";
  const bool written = std::fwrite(text.data(), 1, text.size(), file_.get()) == text.size();
  if (!written || std::fflush(file_.get()) != 0)
    fail("cannot write {}: {}", path_.string(), std::strerror(errno));
}

std::vector<Json> read_metrics(const fs::path& path) {
  std::vector<Json> values;
  for (Line& line : read_lines(path)) values.push_back(std::move(line.value));
  return values;
}

}  // namespace minke
