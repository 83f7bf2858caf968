#pragma once
// Rewards: what a response to a problem is worth, by rules that a program can check.

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "config/task_config.h"
#include "post/problem.h"

namespace minke {

// What a model wrote after the prompt.
struct Response {
  std::string_view text;
  int64_t tokens = 0;      // of it; only overlong shaping asks
  bool truncated = false;  // it ended by the limit of tokens

  template <std::convertible_to<std::string_view> Text>
  Response(const Text& response_text, int64_t token_count = 0, bool was_truncated = false)
      : text(response_text), tokens(token_count), truncated(was_truncated) {}
};

// Its texts are valid UTF-8, whatever a response or a program said.
struct Verdict {
  double reward = 0;
  bool correct = false;
  bool formatted = false;  // it has the form of RewardConfig::format; true where none is asked for
  bool failed = false;     // the judge failed, not the answer: the reward is 0 and `note` says why
  std::string answer;      // what was taken for the answer, cut when it is long; for majority votes
  std::string note;        // why it is wrong, where there is something to say
};

// Not thread-safe.
class Reward {
 public:
  virtual ~Reward() = default;
  // Never throws for what a response holds. A judge that fails is an Error where on_failure says
  // stop, otherwise a verdict with `failed`, logged with the sample.
  virtual Verdict judge(const Problem& problem, const Response& response) = 0;
  // Whether the same response always gets the same verdict. Verdicts of a sandbox and of external
  // commands can vary with their limits of time: a run that is to be resumed keeps them. False for
  // by_task too, as problems may bring code.
  virtual bool repeatable() const = 0;
};

std::unique_ptr<Reward> make_reward(const RewardConfig& config, const SandboxConfig& sandbox = {});

}  // namespace minke
