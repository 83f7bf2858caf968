// Logic puzzles with exactly one solution, which is proved by trying all.

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "post/families.h"

namespace minke {
namespace {

constexpr std::array<std::string_view, 12> names = {"Ada", "Ben", "Cleo", "Dan",  "Eve",  "Finn",
                                                    "Gus", "Hal", "Ida",  "Jack", "Kate", "Leo"};

std::string join(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const std::string& word : words)
    text += fmt::format("{}{}", text.empty() ? "" : separator, word);
  return text;
}

// What one person says of two: that `about` lies, tells the truth, or is of one kind with `other`.
struct Statement {
  enum Kind { liar, honest, same_kind } kind;
  uint32_t about, other;
};

bool holds(const Statement& s, uint32_t honest) {
  const bool about = honest >> s.about & 1, other = honest >> s.other & 1;
  return s.kind == Statement::liar ? !about : s.kind == Statement::honest ? about : about == other;
}

// Bit i of `honest`: person i tells the truth. Each says one thing, true if and only if they do.
bool is_consistent(const std::vector<Statement>& statements, uint32_t honest) {
  for (uint32_t i = 0; i < statements.size(); ++i)
    if (holds(statements[i], honest) != static_cast<bool>(honest >> i & 1)) return false;
  return true;
}

std::string say(const Statement& s) {
  if (s.kind == Statement::liar) return fmt::format("{} is a liar", names[s.about]);
  if (s.kind == Statement::honest) return fmt::format("{} tells the truth", names[s.about]);
  return fmt::format("{} and {} are of the same kind", names[s.about], names[s.other]);
}

// Who stands left of whom, or beside whom.
struct Clue {
  bool beside;
  size_t a, b;
};

bool holds(const Clue& clue, const std::vector<size_t>& place) {
  const auto a = static_cast<int64_t>(place[clue.a]), b = static_cast<int64_t>(place[clue.b]);
  return clue.beside ? std::abs(a - b) == 1 : a < b;
}

// How many orders satisfy the clues, counted up to two.
int count_orders(const std::vector<Clue>& clues, size_t people) {
  std::vector<size_t> place(people);
  std::iota(place.begin(), place.end(), 0);
  int found = 0;
  do {
    found += std::all_of(clues.begin(), clues.end(),
                         [&](const Clue& clue) { return holds(clue, place); });
  } while (found < 2 && std::next_permutation(place.begin(), place.end()));
  return found;
}

std::vector<size_t> draw_order(size_t people, Random& random) {
  std::vector<size_t> order(people);
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = people - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

// Two different people.
std::pair<size_t, size_t> draw_pair(size_t people, Random& random) {
  const size_t a = random.below(people), b = random.below(people - 1);
  return {a, b < a ? b : b + 1};
}

// Adds clues that are true of `place` until they leave one order.
std::vector<Clue> draw_clues(const std::vector<size_t>& place, Random& random) {
  std::vector<Clue> clues;
  while (count_orders(clues, place.size()) > 1) {
    const auto [a, b] = draw_pair(place.size(), random);
    Clue clue{random.below(3) == 0, a, b};
    if (!clue.beside && place[a] > place[b]) std::swap(clue.a, clue.b);
    if (holds(clue, place)) clues.push_back(clue);
  }
  for (size_t i = clues.size(); i-- > 0;) {  // none that the others make needless
    std::vector<Clue> fewer = clues;
    fewer.erase(fewer.begin() + static_cast<int64_t>(i));
    if (count_orders(fewer, place.size()) == 1) clues = fewer;
  }
  return clues;
}

}  // namespace

std::optional<Problem> make_truth_tellers(const TaskConfig& config, Random& random) {
  const auto people =
      static_cast<uint32_t>(draw_between(random, config.min_items, config.max_items));
  std::vector<Statement> statements(people);
  for (uint32_t i = 0; i < people; ++i) {
    const auto kind = static_cast<Statement::Kind>(random.below(people > 2 ? 3 : 2));
    const auto about = static_cast<uint32_t>((i + 1 + random.below(people - 1)) % people);
    uint32_t other = about;
    while (kind == Statement::same_kind && (other == about || other == i))
      other = static_cast<uint32_t>(random.below(people));
    statements[i] = {kind, about, other};
  }
  uint32_t solution = 0;
  int solutions = 0;
  for (uint32_t honest = 0; honest < 1u << people; ++honest)
    if (is_consistent(statements, honest)) {
      solution = honest;
      ++solutions;
    }
  if (solutions != 1) return std::nullopt;
  std::vector<std::string> said, truthful;
  for (uint32_t i = 0; i < people; ++i) {
    said.push_back(fmt::format("{} says: {}.", names[i], say(statements[i])));
    if (solution >> i & 1) truthful.emplace_back(names[i]);
  }
  Problem problem;
  problem.task = "truth_tellers";
  problem.key = join(said, " ");
  problem.prompt =
      "Each person always tells the truth or always lies. " + problem.key +
      " Who tells the truth? Answer with the names in alphabetical order, or \"nobody\".";
  problem.answer = truthful.empty() ? "nobody" : join(truthful, ", ");
  return problem;
}

std::optional<Problem> make_ordering(const TaskConfig& config, Random& random) {
  constexpr int64_t most = 7;  // 5,040 orders are tried for each clue
  if (config.max_items > most)
    fail_usage("task ordering: max_items is {}, expected at most {}", config.max_items, most);
  const auto people = static_cast<size_t>(draw_between(random, config.min_items, config.max_items));
  const std::vector<size_t> place = draw_order(people, random);
  std::vector<std::string> said, row(people);
  for (const Clue& clue : draw_clues(place, random))
    said.push_back(fmt::format("{} stands {} {}.", names[clue.a],
                               clue.beside ? "next to" : "somewhere to the left of",
                               names[clue.b]));
  for (size_t i = 0; i < people; ++i) row[place[i]] = names[i];
  Problem problem;
  problem.task = "ordering";
  problem.key = fmt::format("{}: {}", people, join(said, " "));
  problem.prompt = fmt::format(
      "{} people stand in a row. {} What is their order from left to right? "
      "Answer with the names, with commas between them.",
      people, join(said, " "));
  problem.answer = join(row, ", ");
  return problem;
}

}  // namespace minke
