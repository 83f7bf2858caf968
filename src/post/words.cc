// Words: putting them in the order of the alphabet, counting a word in a list, letters in a word.

#include <algorithm>
#include <set>

#include "base/error.h"
#include "post/families.h"

namespace minke {
namespace {

// A word of so many syllables that can be spoken and means nothing.
std::string draw_word(Random& random, uint64_t syllables) {
  constexpr std::string_view consonants = "bdfgklmnprstvz", vowels = "aeiou";
  std::string word;
  for (uint64_t i = 0; i < syllables; ++i) {
    word += consonants[random.below(consonants.size())];
    word += vowels[random.below(vowels.size())];
  }
  if (random.below(2) == 0) word += consonants[random.below(consonants.size())];
  return word;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += fmt::format("{}{}", text.empty() ? "" : " ", word);
  return text;
}

std::vector<std::string> draw_words(const TaskConfig& config, Random& random) {
  std::vector<std::string> words(
      static_cast<size_t>(draw_between(random, config.min_items, config.max_items)));
  for (std::string& word : words) word = draw_word(random, 1 + random.below(2));
  return words;
}

Problem describe(const TaskConfig& config, std::string_view task, const std::string& bare,
                 const std::string& words, std::string answer) {
  Problem problem;
  problem.task = task;
  problem.key = bare;
  problem.prompt = config.form != PromptForm::words ? bare + "=" : words;
  problem.answer = std::move(answer);
  return problem;
}

}  // namespace

std::optional<Problem> make_sorting(const TaskConfig& config, Random& random) {
  const std::vector<std::string> words = draw_words(config, random);
  std::vector<std::string> sorted = words;
  std::sort(sorted.begin(), sorted.end());
  if (sorted == words) return std::nullopt;
  Problem problem = describe(
      config, "sorting", "sort " + join(words),
      fmt::format("Put these words into alphabetical order: {}. Answer with the words alone, with "
                  "spaces between them.",
                  join(words)),
      join(sorted));
  problem.key = join(sorted);  // the same words in another order are the same problem
  return problem;
}

std::optional<Problem> make_word_count(const TaskConfig& config, Random& random) {
  std::vector<std::string> words = draw_words(config, random);
  const std::string word = words[random.below(words.size())];
  for (std::string& other : words)
    if (random.below(3) == 0) other = word;
  const int64_t count = std::count(words.begin(), words.end(), word);
  Problem problem =
      describe(config, "word_count", fmt::format("count {} in {}", word, join(words)),
               fmt::format("How many times is \"{}\" among these words: {}?", word, join(words)),
               std::to_string(count));
  problem.check = ProblemCheck::numeric;
  return problem;
}

std::optional<Problem> make_letter_count(const TaskConfig& config, Random& random) {
  const std::string word = draw_word(
      random, static_cast<uint64_t>(draw_between(random, config.min_items, config.max_items)));
  const char letter = word[random.below(word.size())];
  Problem problem = describe(
      config, "letter_count", fmt::format("count {} in {}", letter, word),
      fmt::format("How many times does the letter {} occur in the word \"{}\"?", letter, word),
      std::to_string(std::count(word.begin(), word.end(), letter)));
  problem.check = ProblemCheck::numeric;
  return problem;
}

}  // namespace minke
