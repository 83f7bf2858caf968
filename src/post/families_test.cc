#include "post/families.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "post/answer.h"
#include "post/countdown.h"
#include "post/reward.h"
#include "post/task.h"
#include "post/task_text.h"

namespace minke {
namespace {

TaskConfig small_numbers(const std::string& families) {
  TaskConfig config;
  config.families = families;
  config.min_digits = 1;
  config.max_digits = 2;
  return config;
}

TEST(Families, EveryFamilyAcceptsItsOwnAnswerInEveryForm) {
  for (const Family& family : all_families())
    for (const PromptForm form : {PromptForm::bare, PromptForm::words, PromptForm::spaced}) {
      TaskConfig config = small_numbers(std::string(family.name));
      config.form = form;
      const auto task = make_task(config);
      const auto reward = make_reward({});
      for (uint64_t i = 0; i < 20; ++i) {
        const Problem problem = task->problem(TaskSplit::test, i);
        EXPECT_TRUE(reward->judge(problem, problem.answer).correct)
            << problem.prompt << " " << problem.answer;
        EXPECT_FALSE(reward->judge(problem, "no").correct);
      }
    }
}

TEST(Families, TheSpacedFormIsTheBareOneWithSpaces) {
  EXPECT_EQ(written_out("48-9-3=", PromptForm::spaced), "48 - 9 - 3 =");
  EXPECT_EQ(written_out("48-9-3=", PromptForm::bare), "48-9-3=");
  TaskConfig bare = small_numbers("addition, chain"), spaced = bare;
  spaced.form = PromptForm::spaced;
  for (uint64_t i = 0; i < 20; ++i) {
    const Problem a = make_task(bare)->problem(TaskSplit::train, i);
    const Problem b = make_task(spaced)->problem(TaskSplit::train, i);
    EXPECT_EQ(a.hash(), b.hash());
    EXPECT_EQ(written_out(a.prompt, PromptForm::spaced), b.prompt);
  }
}

TEST(Families, WorkedAnswersAreRightAndSlipsMostlyWrong) {
  const auto task = make_task(small_numbers("chain, equation, countdown"));
  const auto reward = make_reward({});
  int64_t wrong = 0;
  for (uint64_t i = 0; i < 300; ++i) {
    const Problem problem = task->problem(TaskSplit::train, i);
    const auto work = find_family(problem.task).work;
    EXPECT_TRUE(reward->judge(problem, work(problem, nullptr).answer).correct) << problem.prompt;
    Random slip(i);
    wrong += !reward->judge(problem, work(problem, &slip).answer).correct;
  }
  EXPECT_GT(wrong, 290);
}

TEST(Families, AChainCarriesItsRestAlong) {
  Problem problem;
  problem.details = {{"terms", {48, -9, -3, 6}}};
  const Worked worked = work_chain(problem, nullptr);
  EXPECT_EQ(worked.working, "39-3+6 36+6");
  EXPECT_EQ(worked.answer, "42");
}

TEST(Countdown, TakesEachNumberOnceAndExactFractions) {
  EXPECT_TRUE(check_countdown("(3+5)*2", {2, 3, 5}, 16).correct);
  EXPECT_TRUE(check_countdown("(3 + 5) * 2 = 16", {2, 3, 5}, 16).correct);
  EXPECT_TRUE(check_countdown("8/(3-8/3)", {8, 3, 8, 3}, 24).correct);
  EXPECT_FALSE(check_countdown("3+5+8", {2, 3, 5}, 16).correct);
  EXPECT_FALSE(check_countdown("16", {2, 3, 5}, 16).correct);
  EXPECT_FALSE(check_countdown("1/(2-2)", {1, 2, 2}, 1).correct);
  EXPECT_FALSE(check_countdown("(3+5", {3, 5}, 8).correct);
  EXPECT_FALSE(check_countdown("", {3, 5}, 8).correct);
  EXPECT_FALSE(check_countdown("__import__('os')", {3, 5}, 8).correct);
  EXPECT_FALSE(check_countdown("99999999999*99999999999", {3, 5}, 8).correct);
  EXPECT_FALSE(check_countdown(std::string(900, '('), {3, 5}, 8).correct);
}

TEST(TaskText, HasItsAuthorsAndNoHeldOutProblem) {
  TaskTextConfig config;
  config.samples = 4000;
  config.per_document = 4;
  int64_t thinking = 0, documents = 0;
  const TaskTextSummary summary =
      write_task_text(small_numbers("addition, chain, countdown"), config, [&](const auto& text) {
        ++documents;
        thinking += text.find("<think>") != std::string::npos;
      });
  EXPECT_EQ(documents, 1000);
  EXPECT_EQ(summary.documents, 1000);
  EXPECT_GT(thinking, 700);
  EXPECT_NEAR(static_cast<double>(summary.samples[0]), 720, 100);
  EXPECT_NEAR(static_cast<double>(summary.samples[3]), 2000, 130);
  EXPECT_EQ(summary.held_out_problems, 0);
}

TEST(TaskText, AuthorsAreWhatTheirNamesSay) {
  TaskTextConfig config;
  const auto task = make_task(small_numbers("addition, countdown"));
  const auto reward = make_reward({});
  for (uint64_t i = 0; i < 500; ++i) {
    const TaskText sample = make_task_text(*task, config, i);
    const std::string answer = sample.text.substr(sample.problem.prompt.size());
    const bool correct = reward->judge(sample.problem, answer).correct;
    const bool thinks = answer.starts_with("<think>");
    EXPECT_EQ(thinks, sample.author == Author::worked || sample.author == Author::slips ||
                          sample.author == Author::cut_off);
    if (sample.author == Author::worked || sample.author == Author::right) {
      EXPECT_TRUE(correct) << sample.text;
    } else if (sample.author != Author::slips) {
      EXPECT_FALSE(correct) << sample.text;
    }
  }
}

TEST(TaskText, CompletionsAreWhatFineTuningReads) {
  TaskTextConfig config{.samples = 20,
                        .worked = 1,
                        .slips = 0,
                        .right = 0,
                        .wrong = 0,
                        .cut_off = 0,
                        .completions = true};
  int lines = 0;
  write_task_text(small_numbers("addition"), config, [&](const std::string& line) {
    const auto json = nlohmann::json::parse(line);
    EXPECT_TRUE(json.at("prompt").get<std::string>().ends_with("=")) << line;
    EXPECT_TRUE(json.at("completion").get<std::string>().starts_with("<think>")) << line;
    EXPECT_TRUE(json.at("parse_special").get<bool>());
    ++lines;
  });
  EXPECT_EQ(lines, 20);
  config.per_document = 2;
  EXPECT_THROW(write_task_text(small_numbers("addition"), config, [](const auto&) {}), Error);
}

TEST(TaskText, RefusesWhatHasNoWorkingAndSharesThatAreNotAll) {
  const auto use = [](const std::string&) {};
  EXPECT_THROW(write_task_text(small_numbers("sorting"), {}, use), Error);
  TaskTextConfig config;
  config.worked = 0.5;
  EXPECT_THROW(write_task_text(small_numbers("addition"), config, use), Error);
}

// The same prompt under two hashes: one may be held out and the other not.
TEST(TaskText, AHeldOutPromptOfAnotherFamilyIsFound) {
  TaskConfig task = small_numbers("addition, chain");
  task.min_steps = task.max_steps = 1;
  TaskTextConfig config;
  config.samples = 2000;
  EXPECT_THROW(write_task_text(task, config, [](const auto&) {}), Error);
}

TEST(Answer, NumbersAreComparedExactly) {
  const std::pair<const char*, const char*> same[] = {{"0.5", "1/2"},
                                                      {"\\frac{1}{2}", ".5"},
                                                      {"\\dfrac12", "0.50"},
                                                      {"1,234,567", "1234567"},
                                                      {"1{,}234", "1234"},
                                                      {"50%", "0.5"},
                                                      {"50\\%", "50"},
                                                      {"1 1/2", "1.5"},
                                                      {"$12", "12"},
                                                      {"5 cm", "5"},
                                                      {"5\\text{ cm}", "5 cm"},
                                                      {"x = 5", "5"},
                                                      {"-\\frac{3}{4}", "-0.75"},
                                                      {"\\frac{-1}{2}", "-1/2"},
                                                      {"-\\frac{1}{-2}", "0.5"},
                                                      {"\xe2\x88\x92"
                                                       "3",
                                                       "-3"},
                                                      {"2e3", "2000"},
                                                      {"-0", "0"},
                                                      {"42.", "42"},
                                                      {"0.1e1", "1"}};
  for (const auto& [a, b] : same) EXPECT_TRUE(same_answer(a, b)) << a << " " << b;
  const std::pair<const char*, const char*> different[] = {{"1/0", "1"},
                                                           {"0/0", "0"},
                                                           {"5 cm", "5 m"},
                                                           {"0.333", "1/3"},
                                                           {"", ""},
                                                           {"12,34", "1234"},
                                                           {"3", "-3"},
                                                           {"1/2/3", "1/6"},
                                                           {"\\frac{1}{0}", "0"},
                                                           {"1\\frac{-1}{2}", "1.5"},
                                                           {"1e99999", "1"}};
  for (const auto& [a, b] : different) EXPECT_FALSE(same_answer(a, b)) << a << " " << b;
}

TEST(Answer, IsFoundWhereItStands) {
  EXPECT_EQ(find_answer("x \\boxed{1} y \\boxed{\\frac{1}{2}}.", AnswerPlace::boxed),
            "\\frac{1}{2}");
  EXPECT_EQ(find_answer("\\boxed{1", AnswerPlace::boxed), "");
  EXPECT_EQ(find_answer("\\boxed{\\boxed{3}}", AnswerPlace::boxed), "3");
  EXPECT_EQ(find_answer("\\boxed{x = \\boxed{5}} and", AnswerPlace::by_task), "5");
  EXPECT_EQ(find_answer("\\boxed{\\text{a {b} c}}", AnswerPlace::boxed), "\\text{a {b} c}");
  EXPECT_EQ(find_answer("<answer> 4 </answer>", AnswerPlace::tag), "4");
  EXPECT_EQ(find_answer("so #### 42", AnswerPlace::by_task), "42");
  EXPECT_EQ(find_answer("from 3 to -1,234.5.", AnswerPlace::last_number), "-1,234.5");
  EXPECT_EQ(find_answer("<think>1</think> 2", AnswerPlace::after_think), "2");
  EXPECT_EQ(find_answer("<think>1", AnswerPlace::by_task), "");
}

TEST(Answer, FormatWantsEachTagOnce) {
  EXPECT_TRUE(has_format("<think>a</think>b", FormatRule::think));
  EXPECT_FALSE(has_format("<think>a</think>", FormatRule::think));
  EXPECT_FALSE(has_format("<think>a</think><think>b</think>c", FormatRule::think));
  EXPECT_FALSE(has_format("a<think>b</think>c", FormatRule::think));
  EXPECT_TRUE(has_format("<think>a</think>\n<answer>b</answer>", FormatRule::think_answer));
  EXPECT_FALSE(has_format("<think>a</think>b", FormatRule::think_answer));
}

TEST(Answer, LanguageIsTheScriptOfTheWords) {
  EXPECT_DOUBLE_EQ(language_share("so it is 42", "en"), 1);
  EXPECT_DOUBLE_EQ(language_share("so 因此 ok", "en"), 0.5);
  EXPECT_DOUBLE_EQ(language_share("123", "en"), 0);
  EXPECT_DOUBLE_EQ(language_share("", "en"), 0);
  EXPECT_DOUBLE_EQ(language_share("<think>因此 \\frac{1}{2}</think><answer>so</answer>", "zh"), 1);
  EXPECT_DOUBLE_EQ(language_share("<think>so</think>因此", "en"), 1);
  EXPECT_DOUBLE_EQ(language_share("if a < b 因 \\ c", "en"), 0.8);
  EXPECT_DOUBLE_EQ(language_share("да", "ru"), 1);
  EXPECT_DOUBLE_EQ(language_share("\xff\xfe", "en"), 0);
  EXPECT_THROW(language_share("a", "xx"), Error);
}

TEST(Answer, LongResponsesStayCheap) {
  const auto reward = make_reward({});
  Problem problem;
  problem.answer = "1";
  for (const char* piece :
       {"\\boxed{", "<think>", "</think>", "1,", "((", "9", "\\text{", "<answer>"}) {
    std::string text;
    while (text.size() < 100000) text += piece;
    EXPECT_FALSE(reward->judge(problem, text).correct);
    has_format(text, FormatRule::think_answer);
    find_answer(text, AnswerPlace::last_number);
  }
}

}  // namespace
}  // namespace minke
