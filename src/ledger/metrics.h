#pragma once
// metrics.jsonl: one JSON object a line, each with the "step" that it tells of, in rising order.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/files.h"

namespace minke {

// Appends lines; a line is in the file when write() returns. Not thread-safe. Movable.
class MetricsWriter {
 public:
  // Keeps the lines up to `last_step` and drops the later ones, which the run will write again,
  // with a last line that was cut short. A new run starts with last_step = -1.
  MetricsWriter(const fs::path& path, int64_t last_step);

  // `line` is an object with an integer "step". Throws Error when the disk refuses it.
  void write(const nlohmann::ordered_json& line);

 private:
  fs::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

// All whole lines; none when there is no file. Throws Error naming the line that is damaged.
std::vector<nlohmann::ordered_json> read_metrics(const fs::path& path);

}  // namespace minke
