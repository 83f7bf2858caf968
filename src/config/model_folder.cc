#include "config/model_folder.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"

namespace minke {

fs::path resolve_model_directory(const fs::path& path) {
  if (fs::exists(path / "config.json")) return path;
  std::error_code code;
  int64_t newest = -1;
  for (const auto& entry : fs::directory_iterator(path / "checkpoints", code)) {
    long long step = -1;
    const std::string name = entry.path().filename().string();
    if (std::sscanf(name.c_str(), "step-%lld", &step) == 1 && name == fmt::format("step-{}", step))
      newest = std::max<int64_t>(newest, step);
  }
  if (newest < 0)
    fail("{} is no model: it has neither a config.json nor a run's checkpoints/", path.string());
  return path / "checkpoints" / fmt::format("step-{}", newest) / "model";
}

}  // namespace minke
