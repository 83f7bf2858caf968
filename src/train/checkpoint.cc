#include "train/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "io/checksums.h"
#include "io/safetensors.h"
#include "model/adapter_files.h"
#include "model/checkpoint.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// The steps that RUN/checkpoints holds, newest first; temporary folders are not among them.
std::vector<int64_t> stored_steps(const fs::path& run) {
  std::vector<int64_t> steps;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", code)) {
    const std::string name = entry.path().filename().string();
    const std::string digits = name.starts_with("step-") ? name.substr(5) : "";
    if (!digits.empty() && digits.size() < 18 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
      steps.push_back(std::stoll(digits));
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

// Removes what processes that were killed while they saved have left: step-N.tmp-PID. None lives,
// as one process at a time works in a run's folder.
void remove_unfinished(const fs::path& run) {
  std::error_code code;
  std::vector<fs::path> unfinished;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", code)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.find(".tmp-") != std::string::npos)
      unfinished.push_back(entry.path());
  }
  for (const fs::path& folder : unfinished) fs::remove_all(folder, code);
}

std::string position_json(const TrainPosition& position) {
  const Json json = {{"step", position.step},
                     {"tokens", position.tokens},
                     {"sequences", position.sequences},
                     {"updates", position.updates},
                     {"skipped", position.skipped}};
  return json.dump(2) + "\n";
}

TrainPosition parse_position(const fs::path& path) {
  try {
    const Json json = Json::parse(read_file(path));
    return {json.at("step"), json.at("tokens"), json.at("sequences"), json.at("updates"),
            json.at("skipped")};
  } catch (const nlohmann::json::exception& error) {
    fail("{} is damaged: {}", path.string(), error.what());
  }
}

// Tensors as they lie in memory, so that reading them back gives the same bits.
void write_state(const fs::path& path, const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::vector<TensorDeclaration> declarations;
  declarations.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    declarations.push_back(
        {name, tensor.dtype == DType::bf16 ? FileDType::bf16 : FileDType::f32, {tensor.size()}});
  SafetensorsWriter writer = SafetensorsWriter::file(path, std::move(declarations));
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor.data, tensor.bytes());
  writer.commit();
}

}  // namespace

fs::path checkpoint_folder(const fs::path& run, int64_t step) {
  return run / "checkpoints" / fmt::format("step-{}", step);
}

void save_checkpoint(const fs::path& run, const TrainPosition& position,
                     const CheckpointContent& content, int64_t keep) {
  remove_unfinished(run);
  AtomicFolder folder(checkpoint_folder(run, position.step));
  for (const auto& [name, weights] : content.models) {
    fs::create_directories(folder.path() / name);
    save_weights(folder.path() / name, content.config, weights, content.dtype);
    for (const fs::path& file : content.files)
      if (fs::exists(file)) write_file(folder.path() / name / file.filename(), read_file(file));
  }
  if (content.adapters) {
    fs::create_directories(folder.path() / "adapter");
    save_adapter(folder.path() / "adapter", *content.adapters, content.base);
  }
  const fs::path trainer = folder.path() / "trainer";
  fs::create_directories(trainer);
  write_state(trainer / "state.safetensors", content.state);
  write_file(trainer / "position.json", position_json(position));
  for (const auto& [name, text] : content.notes) write_file(trainer / name, text);
  write_checksums(folder.path());
  folder.commit();

  // What lies after this step was damaged, or the run would have gone on from it: it does not
  // count.
  std::vector<int64_t> steps = stored_steps(run);
  std::erase_if(steps, [&](int64_t step) { return step > position.step; });
  for (size_t i = static_cast<size_t>(std::max<int64_t>(1, keep)); i < steps.size(); ++i)
    fs::remove_all(checkpoint_folder(run, steps[i]));
}

std::optional<fs::path> find_checkpoint(const fs::path& run) {
  const std::vector<int64_t> steps = stored_steps(run);
  for (const int64_t step : steps) {
    const fs::path folder = checkpoint_folder(run, step);
    const std::string damaged = find_damaged_file(folder);
    if (damaged.empty()) return folder;
    warn("checkpoint {} is damaged ({}); trying the one before it", folder.string(), damaged);
  }
  if (!steps.empty())
    fail("all {} checkpoints in {} are damaged; start again without --resume in another folder",
         steps.size(), (run / "checkpoints").string());
  return std::nullopt;
}

TrainPosition load_checkpoint(const fs::path& checkpoint,
                              const std::vector<std::pair<std::string, Tensor>>& tensors) {
  const SafetensorsReader files(checkpoint / "trainer" / "state.safetensors");
  for (const auto& [name, tensor] : tensors) {
    const int64_t size = tensor.size();
    const StoredTensor& stored = files.get(name, {&size, 1});
    const FileDType expected = tensor.dtype == DType::bf16 ? FileDType::bf16 : FileDType::f32;
    if (stored.dtype != expected)
      fail("{}: {} is {}, the recipe asks for {}", stored.file, name, file_dtype_name(stored.dtype),
           file_dtype_name(expected));
    std::memcpy(tensor.data, stored.data.data(), stored.data.size());
  }
  return parse_position(checkpoint / "trainer" / "position.json");
}

}  // namespace minke
