#include "post/pipeline.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/folder_lock.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "config/json.h"
#include "ledger/ledger.h"
#include "post/report.h"
#include "train/progress.h"

extern char** environ;

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

constexpr double seconds_per_hour = 3600.0;

volatile std::sig_atomic_t stop_signal = 0;
volatile pid_t running_child = 0;

// A terminal's Ctrl-C reaches the stage as well; SIGTERM is passed on to it.
void note_signal(int signal) {
  stop_signal = signal;
  if (signal == SIGTERM && running_child > 0) kill(running_child, SIGTERM);
}

class StageSignals {
 public:
  StageSignals() {
    stop_signal = 0;
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, &note_signal);
  }
  ~StageSignals() {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
  }
};

// SIGINT and SIGTERM wait while one lives.
class SignalsWait {
 public:
  SignalsWait() {
    sigset_t stops;
    sigemptyset(&stops);
    for (const int signal : {SIGINT, SIGTERM}) sigaddset(&stops, signal);
    pthread_sigmask(SIG_BLOCK, &stops, &before_);
  }
  ~SignalsWait() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_;
};

struct Outcome {
  int code = 0;  // exit status, or 128 + signal
  double seconds = 0.0, cpu_seconds = 0.0;
};

double seconds_of(const timeval& t) { return static_cast<double>(t.tv_sec) + t.tv_usec * 1e-6; }

// Starts this program again, with its stdout in a file.
pid_t start(const std::vector<std::string>& command, const fs::path& output,
            const sigset_t& signals) {
  std::vector<std::string> words = {"minke", "--threads", std::to_string(thread_count())};
  if (spdlog::get_level() >= spdlog::level::err) words.emplace_back("--quiet");
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &signals);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail("could not start a stage: {}", std::strerror(error));
  return child;
}

// Calls a stage and waits for it. Nothing is started once a signal has asked to stop.
Outcome call(const StageConfig& stage, const fs::path& output, const FolderLock& lock) {
  const double began = now_seconds();
  pid_t child = 0;
  {
    const SignalsWait wait;  // so that note_signal() finds the child that it is to tell
    if (stop_signal != 0) return {128 + stop_signal};
    running_child = child = start(stage.command, output, wait.before());
  }
  lock.tell(fmt::format(", stage {}, process {}", stage.name, child));
  int status = 0;
  rusage usage{};
  while (wait4(child, &status, 0, &usage) < 0)
    if (errno != EINTR) fail("could not wait for a stage: {}", std::strerror(errno));
  running_child = 0;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), now_seconds() - began,
          seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime)};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Json record_json(const PipelineRecord& record) {
  Json stages = Json::array();
  for (const StageRecord& s : record.stages)
    stages.push_back({{"name", s.name},
                      {"command", s.command},
                      {"sha256", s.sha256},
                      {"seconds", s.seconds},
                      {"cpu_seconds", s.cpu_seconds},
                      {"cost", s.cost},
                      {"finished", s.finished}});
  return {{"name", record.name}, {"currency", record.currency}, {"stages", std::move(stages)}};
}

class Pipeline {
 public:
  Pipeline(const PipelineConfig& config, std::string recipe_path)
      : config_(config), recipe_path_(std::move(recipe_path)), folder_(config.output) {
    for (const char* part : {"recipes", "outputs"}) fs::create_directories(folder_ / part);
    lock_.emplace(folder_, "`minke run`", true);  // a stage that outlives this keeps it
    if (fs::exists(folder_ / "stages.json")) record_ = load_pipeline_record(folder_);
    record_.name = config.name;
    record_.currency = config.cost.currency;
  }

  void run() {
    const StageSignals signals;
    std::string before;
    for (size_t i = 0; i < config_.stages.size(); ++i) {
      const StageConfig& stage = config_.stages[i];
      before = sha256(before + joined(stage.command) + "\n" + stage.recipe);
      StageRecord& record = find_record(stage, before);
      if (record.finished) {
        info("stage {} is finished already", stage.name);
        continue;
      }
      if (stop_signal != 0)
        fail("stopped before stage {}; `minke run {}` goes on", stage.name, recipe_path_);
      info("stage {} of {}: {}", i + 1, config_.stages.size(), stage.name);
      run_stage(stage, record);
    }
    write_report(folder_);
    announce();
  }

 private:
  // The stage's record, a new one if it has not begun.
  StageRecord& find_record(const StageConfig& stage, const std::string& sha) {
    auto found = std::find_if(record_.stages.begin(), record_.stages.end(),
                              [&](const StageRecord& r) { return r.name == stage.name; });
    if (found == record_.stages.end())
      return record_.stages.emplace_back(StageRecord{stage.name, stage.command, sha});
    if (found->sha256 != sha)
      fail_usage(
          "stage {} of {} was run with another command or recipe, or after other stages; choose "
          "another folder with --set output=..., or remove this one",
          stage.name, folder_.string());
    return *found;
  }

  void run_stage(const StageConfig& stage, StageRecord& record) {
    if (!stage.recipe.empty()) write_file(stage_recipe_path(config_, stage), stage.recipe);
    save();  // what is about to write into the stage's folder
    info("+ minke {}", joined(stage.command));
    const fs::path output = folder_ / "outputs" / (stage.name + ".txt");
    const Outcome outcome = call(stage, output, *lock_);
    if (fs::exists(output)) fmt::print("{}", read_file(output));
    std::fflush(stdout);
    record.seconds += outcome.seconds;
    record.cpu_seconds += outcome.cpu_seconds;
    record.cost +=
        outcome.seconds / seconds_per_hour * machine().cores * config_.cost.per_core_hour;
    const fs::path ledger_file = folder_ / stage.name / "ledger.json";
    bool finished = outcome.code == 0;
    if (leaves_run(stage) && fs::exists(ledger_file)) {
      const Ledger ledger = load_ledger(ledger_file);
      record.cost = ledger.cost();
      finished = finished && ledger.finished;
    }
    record.finished = finished;
    save();
    if (finished) return;
    if (stop_signal != 0 || outcome.code == 0)
      fail("stopped in stage {}; `minke run {}` goes on", stage.name, recipe_path_);
    fail("stage {} ended with code {}; when its cause is mended, `minke run {}` goes on with it",
         stage.name, outcome.code, recipe_path_);
  }

  void save() const { write_file(folder_ / "stages.json", record_json(record_).dump(2) + "\n"); }

  void announce() const {
    fmt::print("{}", stage_table(record_));
    info("done; the report is {}", (folder_ / "report.html").string());
  }

  const PipelineConfig& config_;
  std::string recipe_path_;
  fs::path folder_;
  std::optional<FolderLock> lock_;
  PipelineRecord record_;
};

}  // namespace

PipelineRecord load_pipeline_record(const fs::path& run) {
  const std::string where = (run / "stages.json").string();
  constexpr int64_t max_bytes = 1 << 24;
  const Json json = parse_json(read_file(where, max_bytes), where);
  PipelineRecord record;
  try {
    record.name = json.at("name").get<std::string>();
    record.currency = json.at("currency").get<std::string>();
    for (const Json& s : json.at("stages"))
      record.stages.push_back({s.at("name").get<std::string>(),
                               s.at("command").get<std::vector<std::string>>(),
                               s.at("sha256").get<std::string>(), s.at("seconds").get<double>(),
                               s.at("cpu_seconds").get<double>(), s.at("cost").get<double>(),
                               s.at("finished").get<bool>()});
  } catch (const nlohmann::json::exception& error) {
    fail("{}: not what `minke run` writes: {}", where, error.what());
  }
  return record;
}

std::string stage_table(const PipelineRecord& record) {
  const auto row = [&](const std::string& name, double seconds, double cost) {
    return fmt::format("{:<20}{:>12}{:>12.4f} {}\n", name, format_duration(seconds), cost,
                       record.currency);
  };
  std::string text;
  double seconds = 0, cost = 0;
  for (const StageRecord& stage : record.stages) {
    text += row(stage.name + (stage.finished ? "" : " (unfinished)"), stage.seconds, stage.cost);
    seconds += stage.seconds;
    cost += stage.cost;
  }
  return text + row("all", seconds, cost);
}

void run_pipeline(const PipelineConfig& config, const std::string& recipe_path) {
  Pipeline(config, recipe_path).run();
}

}  // namespace minke
