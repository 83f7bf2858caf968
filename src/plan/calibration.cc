#include "plan/calibration.h"

#include "base/files.h"
#include "base/machine.h"
#include "base/peaks.h"
#include "config/json.h"

namespace minke {
namespace {

std::string text_of(const nlohmann::json& json, const char* key) {
  return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

// False where there is none or no sensible one.
bool read_factor(const nlohmann::json& json, const char* key, double& factor) {
  if (!json.contains(key) || !json[key].is_number()) return false;
  factor = json[key].get<double>();
  return factor > 0.001 && factor < 1000;
}

}  // namespace

std::string calibration_path(int threads) {
  fs::path path = peaks_path(threads);
  const std::string name = "plan" + path.stem().string().substr(std::string("peaks").size());
  return (path.parent_path() / (name + ".json")).string();
}

Calibration load_calibration(int threads) {
  const std::string path = calibration_path(threads);
  if (!fs::exists(path)) return {};
  const auto json = nlohmann::json::parse(read_file(path, 1 << 16), nullptr, false);
  if (!json.is_object()) return {};
  Calibration c;
  if (read_factor(json, "step_factor", c.step_factor) &&
      read_factor(json, "memory_factor", c.memory_factor))
    c.run = text_of(json, "run");
  if (read_factor(json, "prompt_factor", c.prompt_factor) &&
      read_factor(json, "generation_factor", c.generation_factor))
    c.model = text_of(json, "model");
  if (c.run.empty()) c.step_factor = c.memory_factor = 1;
  if (c.model.empty()) c.prompt_factor = c.generation_factor = 1;
  return c;
}

void store_calibration(const Calibration& c, int threads) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!c.run.empty()) {
    json["run"] = c.run;
    json["step_factor"] = c.step_factor;
    json["memory_factor"] = c.memory_factor;
  }
  if (!c.model.empty()) {
    json["model"] = c.model;
    json["prompt_factor"] = c.prompt_factor;
    json["generation_factor"] = c.generation_factor;
  }
  fs::create_directories(cache_folder());
  write_file(calibration_path(threads), json.dump(2) + "\n");
}

}  // namespace minke
