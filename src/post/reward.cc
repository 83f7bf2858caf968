#include "post/reward.h"

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/log.h"
#include "post/answer.h"
#include "post/command_judge.h"
#include "post/countdown.h"
#include "post/sandbox.h"
#include "text/utf8.h"

namespace minke {
namespace {

std::string cut(std::string_view text) {
  constexpr size_t longest = 200;
  return fmt::format("{}{}", text.substr(0, longest), text.size() > longest ? "..." : "");
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
  RuleReward(const RewardConfig& config, const SandboxConfig& sandbox)
      : config_(config), sandbox_(sandbox), command_(config.command, config.command_seconds) {
    if (config.check == AnswerCheck::command && config.command.empty())
      fail_usage("reward.check is command, but reward.command is missing");
    if (config.language_weight != 0) language_share("", config.language);  // a known one
  }

  Verdict judge(const Problem& problem, const Response& response) override {
    Verdict verdict;
    try {
      if (config_.check == AnswerCheck::command)
        verdict = command_.ask(problem, response.text);
      else
        check(problem, find_answer(response.text, config_.place), verdict);
    } catch (const Error& error) {
      record_failure(problem, response, error, verdict);
    }
    const std::string_view answer = find_answer(response.text, config_.place);
    verdict.answer = repair_utf8(cut(answer));
    verdict.note = repair_utf8(verdict.note);
    verdict.formatted = has_format(response.text, config_.format);
    if (!verdict.failed)
      verdict.reward = accuracy(verdict, !answer.empty()) + shaping(verdict, response);
    return verdict;
  }

  bool repeatable() const override {
    return config_.check == AnswerCheck::exact || config_.check == AnswerCheck::numeric ||
           config_.check == AnswerCheck::countdown;
  }

 private:
  void check(const Problem& problem, std::string_view answer, Verdict& verdict) {
    switch (check_of(config_, problem)) {
      case ProblemCheck::exact:
        verdict.correct = same_text(answer, problem.answer);
        break;
      case ProblemCheck::numeric:
        verdict.correct = same_answer(answer, problem.answer);
        break;
      case ProblemCheck::countdown:
        check_numbers(problem, answer, verdict);
        break;
      case ProblemCheck::code:
        check_code(problem, answer, verdict);
        break;
    }
  }

  static void check_numbers(const Problem& problem, std::string_view answer, Verdict& verdict) {
    if (!problem.details.contains("numbers") || !problem.details.contains("target"))
      fail("{}: a countdown problem without numbers and target", problem.id);
    const CountdownResult result =
        check_countdown(answer, problem.details.at("numbers"), problem.details.at("target"));
    verdict.correct = result.correct;
    verdict.note = result.problem;
  }

  void check_code(const Problem& problem, std::string_view answer, Verdict& verdict) {
    if (!problem.details.contains("tests") || !problem.details.contains("language"))
      fail("{}: a code problem without tests and language", problem.id);
    constexpr size_t longest = 1 << 20;
    const std::string_view code = find_code(answer);
    if (code.empty() || code.size() > longest) {
      verdict.note = code.empty() ? "no code" : "more than 1 MiB of code";
      return;
    }
    const CodeResult result = run_code(std::string(code), problem.details.at("tests"),
                                       problem.details.at("language"), sandbox_);
    verdict.correct = result.passed;
    verdict.note = result.note;
  }

  void record_failure(const Problem& problem, const Response& response, const Error& error,
                      Verdict& verdict) {
    if (config_.on_failure == FailureAction::stop)
      fail("reward of {}: {}", problem.id, error.what());
    verdict = {};
    verdict.failed = true;
    verdict.note = error.what();
    warn("reward of {}: {}; response: {}", problem.id, error.what(),
         repair_utf8(cut(response.text)));
    if (config_.failure_log.empty()) return;
    std::ofstream log(config_.failure_log, std::ios::app);
    log << nlohmann::json{{"id", problem.id},
                          {"prompt", problem.prompt},
                          {"response", repair_utf8(response.text)},
                          {"error", repair_utf8(error.what())}}
        << '\n';
    if (!log.flush()) fail("cannot write to reward.failure_log = {}", config_.failure_log);
  }

  double accuracy(const Verdict& verdict, bool answered) const {
    if (config_.check == AnswerCheck::command) return config_.accuracy_weight * verdict.reward;
    return verdict.correct ? config_.accuracy_weight : answered ? config_.wrong_reward : 0;
  }

  double shaping(const Verdict& verdict, const Response& response) const {
    double sum = config_.overlong_weight * overlong(config_, response);
    if (verdict.formatted && config_.format != FormatRule::none) sum += config_.format_weight;
    if (config_.language_weight != 0)
      sum += config_.language_weight * language_share(response.text, config_.language);
    return sum;
  }

  RewardConfig config_;
  SandboxConfig sandbox_;
  CommandJudge command_;
};

}  // namespace

std::unique_ptr<Reward> make_reward(const RewardConfig& config, const SandboxConfig& sandbox) {
  return std::make_unique<RuleReward>(config, sandbox);
}

}  // namespace minke
