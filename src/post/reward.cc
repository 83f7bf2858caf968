#include "post/reward.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "post/answer.h"
#include "post/countdown.h"

namespace minke {
namespace {

// The answer's part of the reward; what is shown of a long answer.
std::string cut(std::string_view text) {
  constexpr size_t longest = 200;
  return std::string(text.substr(0, longest)) + (text.size() > longest ? "..." : "");
}

ProblemCheck check_of(const RewardConfig& config, const Problem& problem) {
  switch (config.check) {
    case AnswerCheck::exact:
      return ProblemCheck::exact;
    case AnswerCheck::numeric:
      return ProblemCheck::numeric;
    case AnswerCheck::countdown:
      return ProblemCheck::countdown;
    case AnswerCheck::code:
      return ProblemCheck::code;
    default:
      return problem.check;
  }
}

// DAPO's soft overlong punishment (Yu et al. 2025, equation 13): 0 up to max - cache tokens, then
// falling to -1 at max.
double overlong(const RewardConfig& config, const Response& response) {
  const double over =
      static_cast<double>(response.tokens - config.overlong_max + config.overlong_cache);
  if (config.overlong_max == 0 || over <= 0) return 0;
  if (response.tokens > config.overlong_max || config.overlong_cache == 0) return -1;
  return -over / static_cast<double>(config.overlong_cache);
}

class RuleReward : public Reward {
 public:
  explicit RuleReward(const RewardConfig& config) : config_(config) {}

  Verdict judge(const Problem& problem, const Response& response) override {
    ++stats_.judged;
    Verdict verdict;
    verdict.formatted = has_format(response.text, config_.format);
    const std::string_view answer = find_answer(response.text, config_.place);
    verdict.answer = cut(answer);
    check(problem, answer, verdict);
    verdict.reward = total(verdict, response, !answer.empty());
    return verdict;
  }

  const RewardStats& stats() const override { return stats_; }
  bool repeatable() const override { return true; }

 private:
  void check(const Problem& problem, std::string_view answer, Verdict& verdict) {
    switch (check_of(config_, problem)) {
      case ProblemCheck::exact:
      case ProblemCheck::numeric:
        verdict.correct = same_answer(answer, problem.answer);
        break;
      case ProblemCheck::countdown:
        check_numbers(problem, answer, verdict);
        break;
      default:
        fail_usage("no reward for this kind of problem: {}", problem.id);
    }
  }

  static void check_numbers(const Problem& problem, std::string_view answer, Verdict& verdict) {
    const CountdownResult result =
        check_countdown(answer, problem.details.at("numbers"), problem.details.at("target"));
    verdict.correct = result.correct;
    verdict.note = result.problem;
  }

  double total(const Verdict& verdict, const Response& response, bool answered) const {
    double sum = verdict.correct ? config_.accuracy_weight : answered ? config_.wrong_reward : 0;
    if (verdict.formatted && config_.format != FormatRule::none) sum += config_.format_weight;
    if (config_.language_weight != 0)
      sum += config_.language_weight * language_share(response.text, config_.language);
    return sum + config_.overlong_weight * overlong(config_, response);
  }

  RewardConfig config_;
  RewardStats stats_;
};

}  // namespace

std::unique_ptr<Reward> make_reward(const RewardConfig& config, const SandboxConfig&) {
  return std::make_unique<RuleReward>(config);
}

}  // namespace minke
