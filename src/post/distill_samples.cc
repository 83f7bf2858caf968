#include "post/distill_samples.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/machine.h"
#include "post/distill_teacher.h"
#include "post/group_sampler.h"
#include "post/prompt.h"
#include "text/special_tokens.h"
#include "text/utf8.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// One answer of the teacher, as a line of teacher.jsonl holds it.
struct Sample {
  TeacherAnswer answer;
  bool correct = false, formatted = false, judge_failed = false;
  double reward = 0.0, seconds = 0.0;
  std::string note;

  bool right() const { return correct && formatted && !answer.truncated; }
};
using Place = std::pair<int64_t, int64_t>;  // problem, number of the answer

Json to_json(const Place& place, const std::string& id, const Sample& s) {
  return {{"problem", place.first},
          {"sample", place.second},
          {"id", id},
          {"text", repair_utf8(s.answer.text)},
          {"correct", s.correct},
          {"formatted", s.formatted},
          {"reward", s.reward},
          {"truncated", s.answer.truncated},
          {"judge_failed", s.judge_failed},
          {"note", s.note},
          {"fault", repair_utf8(s.answer.fault)},
          {"prompt_tokens", s.answer.prompt_tokens},
          {"tokens", s.answer.tokens},
          {"flops", s.answer.flops},
          {"seconds", s.seconds}};
}

Sample sample_from(const Json& json) {
  Sample s;
  s.answer.text = json.at("text");
  s.correct = json.at("correct");
  s.formatted = json.at("formatted");
  s.reward = json.at("reward");
  s.answer.truncated = json.at("truncated");
  s.judge_failed = json.at("judge_failed");
  s.note = json.at("note");
  s.answer.fault = json.at("fault");
  s.answer.prompt_tokens = json.at("prompt_tokens");
  s.answer.tokens = json.at("tokens");
  s.answer.flops = json.at("flops");
  s.seconds = json.at("seconds");
  return s;
}

// Of the settings that decide what the answers are.
std::string fingerprint(const DistillConfig& config) {
  DistillConfig c;
  c.seed = config.seed;
  c.teacher = config.teacher;
  c.samples = config.samples;
  c.task = config.task;
  c.reward = config.reward;
  c.sandbox = config.sandbox;
  const TeacherConfig standard;
  c.teacher.url = config.teacher.url.empty() ? "" : "a server";  // which may move
  c.teacher.api_key_env = standard.api_key_env;
  c.teacher.parallel = standard.parallel;
  c.teacher.attempts = standard.attempts;
  c.teacher.timeout_seconds = standard.timeout_seconds;
  c.samples.keep = c.samples.sequences = 1;
  c.samples.parse_special = true;
  c.checkpoint.every_steps = 0;  // whatever the default is
  return sha256(write_distill_config(c));
}

// teacher.jsonl: a line of settings, then one for each answer, in the order in which they came.
class Journal {
 public:
  Journal(const fs::path& path, const std::string& settings) : path_(path) {
    fs::create_directories(path.parent_path());
    if (fs::exists(path)) read(settings);
    file_.reset(std::fopen(path.c_str(), "a"));
    if (!file_) fail("cannot write {}: {}", path.string(), std::strerror(errno));
    if (!has_settings_) write({{"settings", settings}});
  }

  const std::map<Place, Sample>& samples() const { return samples_; }

  void add(const Place& place, const std::string& id, Sample sample) {
    write(to_json(place, id, sample));
    samples_.emplace(place, std::move(sample));
  }

 private:
  // A last line that was cut short is as if it had not been written.
  void read(const std::string& settings) {
    std::ifstream file(path_);
    std::string line;
    uintmax_t whole = 0;
    for (int64_t number = 1; std::getline(file, line) && !file.eof(); ++number) {
      whole += line.size() + 1;
      try {
        const Json json = Json::parse(line);
        if (number > 1)
          samples_.emplace(Place(json.at("problem"), json.at("sample")), sample_from(json));
        else if (json.at("settings") != settings)
          fail_usage(
              "{} holds the answers of a teacher, task or reward with other settings; choose "
              "another folder with --set output=..., or remove it",
              path_.string());
        else
          has_settings_ = true;
      } catch (const nlohmann::json::exception& error) {
        fail("{}:{} is damaged ({}); remove the line, its answer will be made anew", path_.string(),
             number, error.what());
      }
    }
    file.close();
    fs::resize_file(path_, whole);
  }

  void write(const Json& json) {
    const std::string line = json.dump() + "\n";
    const bool written = std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size();
    if (!written || std::fflush(file_.get()) != 0)
      fail("cannot write {}: {}", path_.string(), std::strerror(errno));
  }

  fs::path path_;
  bool has_settings_ = false;
  std::map<Place, Sample> samples_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, &std::fclose};
};

void count(const Sample& sample, SampleCounts& counts) {
  ++counts.sampled;
  counts.right += sample.right();
  counts.truncated += sample.answer.truncated;
  counts.unusable += !sample.answer.fault.empty();
  counts.judge_failures += sample.judge_failed;
  counts.prompt_tokens += sample.answer.prompt_tokens;
  counts.answer_tokens += sample.answer.tokens;
  counts.flops += sample.answer.flops;
  counts.seconds += sample.seconds;
}

Sample judge(Reward& reward, const Problem& problem, const TeacherAnswer& answer) {
  Sample sample;
  sample.answer = answer;
  if (!answer.fault.empty()) return sample;
  const Verdict verdict =
      reward.judge(problem, Response(answer.text, answer.tokens, answer.truncated));
  sample.correct = verdict.correct;
  sample.formatted = verdict.formatted;
  sample.judge_failed = verdict.failed;
  sample.reward = verdict.reward;
  sample.note = verdict.note;
  return sample;
}

// Has the teacher answer what the journal does not hold yet.
void ask(const DistillConfig& config, const std::vector<Problem>& problems, Journal& journal,
         SampleCounts& counts, const std::function<void(const SampleCounts&)>& progress) {
  std::vector<TeacherQuestion> questions;
  std::vector<Place> places;
  for (size_t p = 0; p < problems.size(); ++p)
    for (int64_t i = 0; i < config.samples.per_problem; ++i) {
      const Place place(static_cast<int64_t>(p), i);
      if (journal.samples().contains(place)) continue;
      places.push_back(place);
      questions.push_back({&problems[p], sample_name(config.seed ^ hash_name("teacher"),
                                                     place.first, static_cast<size_t>(i))});
    }
  if (questions.empty()) return;
  const auto reward = make_reward(config.reward, config.sandbox);
  const auto teacher = make_teacher(config);
  double before = now_seconds();
  teacher->answer(questions, [&](size_t index, const TeacherAnswer& answer) {
    const Problem& problem = *questions[index].problem;
    Sample sample = judge(*reward, problem, answer);
    const double now = now_seconds();
    sample.seconds = now - std::exchange(before, now);
    count(sample, counts);
    journal.add(places[index], problem.id, std::move(sample));
    progress(counts);
  });
}

std::string trimmed(std::string text) {
  text.erase(0, text.find_first_not_of(" \n"));
  text.erase(text.find_last_not_of(" \n") + 1);
  return text;
}

// A line that `minke sft` reads. In messages the reasoning stands apart, as templates want it; a
// completion goes on where the prompt has opened the thinking.
Json training_line(const DistillConfig& config, const Problem& problem, const std::string& text) {
  const std::string prompt = fill_template(config.rollout.prompt_template, problem);
  const std::string opened = opened_thinking(prompt);
  if (!config.rollout.chat)
    return {{"prompt", prompt},
            {"completion", text.substr(text.starts_with(opened) ? opened.size() : 0)},
            {"parse_special", config.samples.parse_special},
            {"id", problem.id}};
  Json answer = {{"role", "assistant"}, {"content", text}};
  const size_t end = text.find(special::think_end);
  if (text.starts_with(special::think_begin) && end != std::string::npos) {
    const size_t begin = special::think_begin.size();
    answer["content"] = trimmed(text.substr(end + special::think_end.size()));
    answer["reasoning_content"] = trimmed(text.substr(begin, end - begin));
  }
  return {{"messages", {{{"role", "user"}, {"content", prompt}}, answer}}, {"id", problem.id}};
}

// The first right answers of each problem that differ.
void write_samples(const DistillConfig& config, const std::vector<Problem>& problems,
                   const Journal& journal, SampleCounts& counts) {
  AtomicFile file(fs::path(config.output) / "samples.jsonl");
  for (size_t p = 0; p < problems.size(); ++p) {
    std::set<std::string> seen;
    int64_t kept = 0;
    for (int64_t i = 0; i < config.samples.per_problem; ++i) {
      const Sample& sample = journal.samples().at({static_cast<int64_t>(p), i});
      if (!sample.right()) continue;
      if (!seen.insert(sample.answer.text).second) {
        ++counts.duplicates;
      } else if (kept < config.samples.keep) {
        ++kept;
        file.write(training_line(config, problems[p], sample.answer.text).dump() + "\n");
      }
    }
    counts.kept += kept;
    counts.solved += kept > 0;
  }
  if (counts.kept == 0)
    fail("none of the teacher's {} answers is right ({} were cut off, {} unusable); {} has them",
         counts.sampled, counts.truncated, counts.unusable,
         (fs::path(config.output) / "teacher.jsonl").string());
  file.commit();
}

}  // namespace

Json to_json(const SampleCounts& c) {
  return {{"problems", c.problems},
          {"sampled", c.sampled},
          {"right", c.right},
          {"truncated", c.truncated},
          {"unusable", c.unusable},
          {"judge_failures", c.judge_failures},
          {"duplicates", c.duplicates},
          {"kept", c.kept},
          {"solved", c.solved},
          {"teacher_prompt_tokens", c.prompt_tokens},
          {"teacher_answer_tokens", c.answer_tokens},
          {"teacher_flops", c.flops},
          {"teacher_seconds", c.seconds}};
}

SampleCounts sample_teacher(const DistillConfig& config,
                            const std::function<void(const SampleCounts&)>& progress) {
  const auto task = make_task(config.task);
  const std::vector<Problem> problems =
      distinct_problems(*task, TaskSplit::train, static_cast<uint64_t>(config.samples.problems));
  if (problems.empty())
    fail_usage("task {}: the train split has no problems for the teacher", config.task.families);
  Journal journal(fs::path(config.output) / "teacher.jsonl", fingerprint(config));
  SampleCounts counts;
  counts.problems = static_cast<int64_t>(problems.size());
  for (const auto& [place, sample] : journal.samples()) count(sample, counts);
  ask(config, problems, journal, counts, progress);
  write_samples(config, problems, journal, counts);
  return counts;
}

}  // namespace minke
