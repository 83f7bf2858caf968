#include "data/deduplicate.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace minke {
namespace {

// A text of random words; every word is changed with the given chance by the second generator.
std::string words(uint64_t seed, int count, double change, uint64_t change_seed) {
  Random random(seed), changes(change_seed, 1);
  std::string text;
  for (int i = 0; i < count; ++i) {
    const uint64_t word = random.below(5000);
    text += "w" + std::to_string(changes.uniform() < change ? 9999 : word) + " ";
  }
  return text;
}

TEST(MinHash, EstimatesWhatTextsHaveInCommon) {
  const auto original = min_hash(words(1, 3000, 0, 0));
  EXPECT_EQ(similarity(original, min_hash(words(1, 3000, 0, 5))), 1.0);
  EXPECT_LT(similarity(original, min_hash(words(2, 3000, 0, 0))), 0.1);
  // With every hundredth word changed a 5-gram is whole with 0.95: Jaccard 0.95 / 1.05 = 0.91.
  EXPECT_NEAR(similarity(original, min_hash(words(1, 3000, 0.01, 3))), 0.91, 0.09);
  EXPECT_EQ(similarity(min_hash("Short text"), min_hash("short, TEXT!")), 1.0);
}

TEST(Deduplicator, FindsExactAndNearDuplicates) {
  using Verdict = Deduplicator::Verdict;
  Deduplicator seen(0.8);
  const auto add = [&](const std::string& text) {
    return seen.add(content_hash(text), min_hash(text));
  };
  for (uint64_t seed = 1; seed < 50; ++seed)
    EXPECT_EQ(add(words(seed, 400, 0, 0)), Verdict::is_new);
  EXPECT_EQ(add(words(7, 400, 0, 0)), Verdict::exact_duplicate);
  for (uint64_t seed = 1; seed < 50; ++seed)
    EXPECT_EQ(add(words(seed, 400, 0.005, seed + 100)) == Verdict::is_new, false) << seed;
  EXPECT_EQ(add(words(8, 400, 0.3, 4)), Verdict::is_new);
  EXPECT_EQ(add("我们的模型在中文上的表现如何深度求索混合专家"), Verdict::is_new);
  EXPECT_EQ(add("我们的模型在中文上的表现如何，深度求索混合专家"), Verdict::is_new);
}

// Their signatures hold as many bits as those of long texts.
TEST(Deduplicator, ShortTextsAreToldApart) {
  Deduplicator seen(0.8);
  const auto add = [&](const std::string& text) {
    return seen.add(content_hash(text), min_hash(text));
  };
  for (int i = 0; i < 3000; ++i)
    ASSERT_EQ(add(std::to_string(i) + " and " + std::to_string(7 * i)),
              Deduplicator::Verdict::is_new)
        << i;
  EXPECT_EQ(add("5 AND 35!"), Deduplicator::Verdict::near_duplicate);
  EXPECT_EQ(add("=====\n"), Deduplicator::Verdict::is_new);
  EXPECT_EQ(add("-----\n"), Deduplicator::Verdict::is_new);
}

TEST(Deduplicator, NearDuplicatesCanBeKept) {
  Deduplicator seen(0);
  const std::string text = words(1, 400, 0, 0), changed = words(1, 400, 0.01, 3);
  EXPECT_EQ(seen.add(content_hash(text), {}), Deduplicator::Verdict::is_new);
  EXPECT_EQ(seen.add(content_hash(changed), {}), Deduplicator::Verdict::is_new);
  EXPECT_EQ(seen.add(content_hash(text), {}), Deduplicator::Verdict::exact_duplicate);
}

}  // namespace
}  // namespace minke
