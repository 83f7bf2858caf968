#include "plan/calibration.h"

#include "base/files.h"
#include "base/machine.h"
#include "base/peaks.h"
#include "config/json.h"

namespace minke {

std::string calibration_path(int threads) {
  fs::path path = peaks_path(threads);
  const std::string name = "plan" + path.stem().string().substr(std::string("peaks").size());
  return (path.parent_path() / (name + ".json")).string();
}

std::optional<Calibration> load_calibration(int threads) {
  const std::string path = calibration_path(threads);
  if (!fs::exists(path)) return {};
  const auto json = nlohmann::json::parse(read_file(path, 1 << 16), nullptr, false);
  if (!json.is_object()) return {};
  const auto factor = [&](const char* key) {
    return json.contains(key) && json[key].is_number() ? json[key].get<double>() : 0.0;
  };
  Calibration c{factor("step_factor"), factor("memory_factor"), ""};
  if (json.contains("run") && json["run"].is_string()) c.run = json["run"].get<std::string>();
  const auto sane = [](double x) { return x > 0.01 && x < 1000; };
  return sane(c.step_factor) && sane(c.memory_factor) ? std::optional(c) : std::nullopt;
}

void store_calibration(const Calibration& c, int threads) {
  const nlohmann::ordered_json json = {
      {"run", c.run}, {"step_factor", c.step_factor}, {"memory_factor", c.memory_factor}};
  fs::create_directories(cache_folder());
  write_file(calibration_path(threads), json.dump(2) + "\n");
}

}  // namespace minke
