#pragma once
// Verdicts that could come out differently a second time (of a sandbox, of an external command) are
// kept in a file, so that a run which is resumed gets the same ones again.

#include <cstdio>
#include <map>
#include <memory>

#include "base/files.h"
#include "post/reward.h"

namespace minke {

// Asks a reward, and writes its verdicts to a file of JSON lines unless the reward is repeatable.
// Not thread-safe. The reward must outlive it.
class VerdictJournal {
 public:
  // keep: the verdicts that the file holds are used again; otherwise it starts empty.
  VerdictJournal(Reward& reward, const fs::path& path, bool keep);

  // `sample` names the response among all of the run; the verdict of a sample that was judged
  // before, with the same text, is the earlier one.
  Verdict judge(uint64_t sample, const Problem& problem, const Response& response);

 private:
  void read(const fs::path& path);

  Reward& reward_;
  fs::path path_;
  std::map<uint64_t, Verdict> verdicts_;  // by sample and text
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, &std::fclose};
};

}  // namespace minke
