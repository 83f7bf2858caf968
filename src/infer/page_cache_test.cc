#include "infer/page_cache.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"

namespace minke {
namespace {

std::vector<int32_t> page_of(int32_t first) {
  std::vector<int32_t> tokens(64);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(PageCache, GivesEachPageOnce) {
  PageCache cache(3);
  std::vector<int32_t> pages;
  while (const auto page = cache.allocate()) pages.push_back(*page);
  EXPECT_EQ(pages, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(cache.available(), 0);
  cache.release(1);
  EXPECT_EQ(cache.allocate(), 1);
  cache.release(1);
  EXPECT_THROW(cache.release(1), Error);
}

TEST(PageCache, FindsWhatWasRememberedAfterTheSameTokensOnly) {
  PageCache cache(4);
  const int32_t first = *cache.allocate(), second = *cache.allocate();
  const auto a = cache.remember(first, 0, page_of(0));
  const auto b = cache.remember(second, a, page_of(64));
  EXPECT_FALSE(cache.find(0, page_of(64)));
  EXPECT_FALSE(cache.find(b, page_of(64)));
  const auto match = cache.find(a, page_of(64));
  ASSERT_TRUE(match);
  EXPECT_EQ(match->page, second);
  EXPECT_EQ(match->prefix, b);
  // The same tokens in another page have the same name.
  EXPECT_EQ(cache.remember(*cache.allocate(), 0, page_of(0)), a);
}

TEST(PageCache, ForgetsTheLeastRecentlyUsedWhenPagesRunOut) {
  PageCache cache(2);
  const int32_t first = *cache.allocate(), second = *cache.allocate();
  cache.remember(first, 0, page_of(0));
  cache.remember(second, 0, page_of(100));
  cache.release(first);
  cache.release(second);
  EXPECT_EQ(cache.available(), 2);
  cache.release(cache.find(0, page_of(0))->page);  // used again, so the other is older
  EXPECT_EQ(cache.allocate(), second);
  EXPECT_FALSE(cache.find(0, page_of(100)));
  EXPECT_TRUE(cache.find(0, page_of(0)));
}

}  // namespace
}  // namespace minke
