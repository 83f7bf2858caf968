#include "serve/runs.h"

#include <chrono>
#include <fstream>

#include "api/error.h"

namespace minke {
namespace {

bool is_run(const fs::path& folder) {
  std::error_code none;
  return fs::exists(folder / "metrics.jsonl", none) || fs::exists(folder / "ledger.json", none);
}

struct Run {
  std::string name;  // "run", or "run/stage"
  fs::path path;
};

std::vector<fs::path> subfolders(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.is_directory(none)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

// Runs, and their stages after them.
std::vector<Run> all_runs(const fs::path& folder) {
  std::vector<Run> runs;
  for (const fs::path& path : subfolders(folder)) {
    std::vector<Run> stages;
    for (const fs::path& stage : subfolders(path))
      if (is_run(stage))
        stages.push_back({path.filename().string() + "/" + stage.filename().string(), stage});
    if (!is_run(path) && stages.empty()) continue;
    runs.push_back({path.filename().string(), path});
    runs.insert(runs.end(), stages.begin(), stages.end());
  }
  return runs;
}

fs::path find_run(const fs::path& folder, const std::string& name) {
  for (const Run& run : all_runs(folder))
    if (run.name == name) return run.path;
  throw ApiError(404, "there is no run of that name");
}

// Seconds since 1970 of the newest of a run's files.
int64_t modified(const fs::path& run) {
  int64_t newest = 0;
  for (const char* file : {"metrics.jsonl", "ledger.json", "samples.jsonl"}) {
    std::error_code error;
    const auto time = fs::last_write_time(run / file, error);
    if (error) continue;
    const auto system = std::chrono::file_clock::to_sys(time).time_since_epoch();
    newest =
        std::max<int64_t>(newest, std::chrono::duration_cast<std::chrono::seconds>(system).count());
  }
  return newest;
}

}  // namespace

Json list_runs(const fs::path& folder) {
  std::vector<Json> runs;
  for (const Run& run : all_runs(folder)) {
    const size_t slash = run.name.find('/');
    if (slash == std::string::npos) {
      runs.push_back(
          {{"name", run.name}, {"modified", modified(run.path)}, {"stages", Json::array()}});
      continue;
    }
    Json& parent = runs.back();
    parent["stages"].push_back(run.name.substr(slash + 1));
    parent["modified"] = std::max(parent["modified"].get<int64_t>(), modified(run.path));
  }
  std::stable_sort(runs.begin(), runs.end(), [](const Json& a, const Json& b) {
    return a["modified"].get<int64_t>() > b["modified"].get<int64_t>();
  });
  return {{"runs", runs}};
}

Json run_lines(const fs::path& folder, const std::string& run, const char* file, int64_t after) {
  constexpr int64_t most = int64_t{1} << 20;  // bytes of one answer
  const fs::path path = find_run(folder, run) / file;
  std::error_code none;
  const auto size = fs::file_size(path, none);
  // A resumed run has cut its file: the reader sees "next" before "after" and begins again.
  if (!none && after > static_cast<int64_t>(size)) after = 0;
  std::ifstream in(path, std::ios::binary);
  Json lines = Json::array();
  in.seekg(after);
  std::string text(static_cast<size_t>(most), '\0');
  if (in) in.read(text.data(), most);
  text.resize(in || in.eof() ? static_cast<size_t>(std::max<int64_t>(0, in.gcount())) : 0);
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    Json line = Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (!line.is_discarded()) lines.push_back(std::move(line));
  }
  // A line longer than an answer would never come: it is left out.
  if (begin == 0 && static_cast<int64_t>(text.size()) == most) begin = text.size();
  return {{"lines", std::move(lines)}, {"next", after + static_cast<int64_t>(begin)}};
}

std::string run_ledger(const fs::path& folder, const std::string& run) {
  const fs::path file = find_run(folder, run) / "ledger.json";
  std::error_code none;
  return fs::exists(file, none) ? read_file(file) : "null";
}

}  // namespace minke
