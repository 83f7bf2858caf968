#include "post/verdict_journal.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/random.h"

namespace minke {
namespace {

using Json = nlohmann::json;

uint64_t key_of(uint64_t sample, const Response& response) {
  return mix64(mix64(sample) ^ hash_name(response.text));
}

Json to_json(uint64_t key, const Verdict& v) {
  return {{"key", key},           {"reward", v.reward},
          {"correct", v.correct}, {"formatted", v.formatted},
          {"failed", v.failed},   {"answer", v.answer},
          {"note", v.note}};
}

Verdict from_json(const Json& json) {
  Verdict v;
  v.reward = json.at("reward");
  v.correct = json.at("correct");
  v.formatted = json.at("formatted");
  v.failed = json.at("failed");
  v.answer = json.at("answer");
  v.note = json.at("note");
  return v;
}

}  // namespace

VerdictJournal::VerdictJournal(Reward& reward, const fs::path& path, bool keep)
    : reward_(reward), path_(path) {
  if (reward.repeatable()) return;
  if (keep) read(path);
  if (path.has_parent_path()) fs::create_directories(path.parent_path());
  file_.reset(std::fopen(path.c_str(), keep ? "a" : "w"));
  if (!file_) fail("cannot write {}: {}", path.string(), std::strerror(errno));
}

// A last line that was cut short is as if it had not been written.
void VerdictJournal::read(const fs::path& path) {
  if (!fs::exists(path)) return;
  const std::string text = read_file(path);
  size_t begin = 0;
  for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const Json json = Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (!json.is_object() || !json.contains("key"))
      fail("{}: the line at byte {} is damaged; remove the file to have its verdicts made anew",
           path.string(), begin);
    verdicts_[json.at("key")] = from_json(json);
  }
  fs::resize_file(path, begin);
}

Verdict VerdictJournal::judge(uint64_t sample, const Problem& problem, const Response& response) {
  if (!file_) return reward_.judge(problem, response);
  const uint64_t key = key_of(sample, response);
  if (const auto found = verdicts_.find(key); found != verdicts_.end()) return found->second;
  Verdict verdict = reward_.judge(problem, response);
  const std::string line = to_json(key, verdict).dump() + "\n";
  const bool written = std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size();
  if (!written || std::fflush(file_.get()) != 0)
    fail("cannot write {}: {}", path_.string(), std::strerror(errno));
  return verdict;
}

}  // namespace minke
