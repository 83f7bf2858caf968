#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/random.h"
#include "base/threads.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace minke {
namespace {

constexpr int32_t base_tokens = 3 + 256;
constexpr int32_t last_tokens = 17;

std::vector<std::string> corpus() {
  std::vector<std::string> documents;
  Random random(9);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (int word = 0; word < 60; ++word) {
      for (uint64_t n = 1 + random.below(6); n > 0; --n) text += "etaoinshr中"[random.below(9)];
      text += word % 7 == 0 ? " 12 aaaa\n" : " ";
    }
    documents.push_back(text);
  }
  return documents;
}

TokenizerDefinition train(const std::vector<std::string>& documents, int32_t vocab_size) {
  BpeTrainer trainer({.vocab_size = vocab_size});
  for (const std::string& document : documents) trainer.add(document);
  return trainer.train();
}

// The same by the definition: count all pairs of all words anew before every merge.
std::vector<BpeMerge> merges_by_counting(const std::vector<std::string>& documents, int32_t merges,
                                         const TokenizerDefinition& alphabet) {
  std::map<std::string, int64_t> counts;
  const PreTokenizer pre_tokenizer(deepseek_v3_patterns());
  PreTokenizer::Workspace workspace;
  for (const std::string& document : documents)
    pre_tokenizer.split(document, workspace, [&](std::string_view w) { ++counts[std::string(w)]; });
  std::vector<std::pair<std::vector<int32_t>, int64_t>> words;
  for (const auto& [word, count] : counts) {
    words.push_back({{}, count});
    for (const char byte : word)
      for (int32_t id = 3; id < base_tokens; ++id)
        if (alphabet.tokens[id][0] == byte) words.back().first.push_back(id);
  }
  std::vector<BpeMerge> result;
  for (int32_t next = base_tokens; next < base_tokens + merges; ++next) {
    std::map<std::pair<int32_t, int32_t>, int64_t> pairs;
    for (const auto& [ids, count] : words)
      for (size_t i = 0; i + 1 < ids.size(); ++i) pairs[{ids[i], ids[i + 1]}] += count;
    auto best = pairs.begin();
    for (auto it = pairs.begin(); it != pairs.end(); ++it)
      if (it->second > best->second) best = it;
    const auto [left, right] = best->first;
    result.push_back({left, right, next});
    for (auto& [ids, count] : words)
      for (size_t i = 0; i + 1 < ids.size(); ++i)
        if (ids[i] == left && ids[i + 1] == right) {
          ids[i] = next;
          ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
  }
  return result;
}

TEST(BpeTrainer, MakesTheMergesOfTheDefinition) {
  const auto documents = corpus();
  const auto trained = train(documents, base_tokens + 60 + last_tokens);
  const auto expected = merges_by_counting(documents, 60, trained);
  ASSERT_EQ(trained.merges.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(trained.merges[i].left, expected[i].left) << i;
    EXPECT_EQ(trained.merges[i].right, expected[i].right) << i;
    EXPECT_EQ(trained.merges[i].result, expected[i].result) << i;
  }
}

TEST(BpeTrainer, ThreadsAndOrderDoNotMatter) {
  auto documents = corpus();
  const auto expected = train(documents, 400).tokens;
  const int threads = thread_count();
  for (const int count : {1, 2, 3}) {
    set_thread_count(count);
    std::reverse(documents.begin(), documents.end());
    EXPECT_EQ(train(documents, 400).tokens, expected);
  }
  set_thread_count(threads);
}

TEST(BpeTrainer, LaysOutTheVocabularyAsDeepSeek) {
  const auto definition = train(corpus(), 300);
  ASSERT_EQ(definition.tokens.size(), 300u);
  EXPECT_EQ(definition.tokens[0], special::bos);
  EXPECT_EQ(definition.tokens[3], "!");
  EXPECT_EQ(definition.tokens[283], special::think_begin);
  EXPECT_EQ(definition.tokens[299], special::tool_separator);
  const Tokenizer tokenizer(definition);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("never seen: Ünïcödé 中文")),
            "never seen: Ünïcödé 中文");
}

TEST(BpeTrainer, SaysWhatIsWrong) {
  EXPECT_THROW(BpeTrainer({.vocab_size = 275}), Error);
  EXPECT_THROW(train({}, 300), Error);
  EXPECT_THROW(train({""}, 300), Error);
  EXPECT_EQ(train({"x"}, 276).tokens.size(), 276u);
  try {
    train({"abc abc"}, 1000);
    FAIL();
  } catch (const Error& error) {
    // abc and its space: ab, abc, " abc" are all there is.
    EXPECT_NE(std::string(error.what()).find("only 3"), std::string::npos) << error.what();
  }
}

TEST(BpeTrainer, AVeryLongLineIsNoTrouble) {
  std::string line;
  Random random(4);
  for (int i = 0; i < 2'000'000; ++i) line += static_cast<char>('a' + random.below(26));
  EXPECT_EQ(train({line}, 1000).tokens.size(), 1000u);
}

}  // namespace
}  // namespace minke
