#include "infer/page_cache.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace minke {
namespace {

// Only finds candidates, which are then compared.
uint64_t hash_page(uint64_t before, std::span<const int32_t> tokens) {
  uint64_t hash = mix64(before);
  for (const int32_t token : tokens) hash = mix64(hash ^ static_cast<uint32_t>(token));
  return hash;
}

}  // namespace

PageCache::PageCache(int64_t pages) : pages_(static_cast<size_t>(pages)) {
  for (int64_t page = pages; page-- > 0;) unused_.push_back(static_cast<int32_t>(page));
}

std::optional<int32_t> PageCache::allocate() {
  if (unused_.empty()) {
    if (idle_.empty()) return std::nullopt;
    const int32_t oldest = idle_.front();
    idle_.pop_front();
    forget(oldest);
    unused_.push_back(oldest);
  }
  const int32_t page = unused_.back();
  unused_.pop_back();
  pages_[page].references = 1;
  return page;
}

void PageCache::release(int32_t index) {
  Page& page = pages_[index];
  require(page.references > 0, "page {} is given back once too often", index);
  if (--page.references > 0) return;
  if (page.prefix)
    page.idle = idle_.insert(idle_.end(), index);
  else
    unused_.push_back(index);
}

void PageCache::forget(int32_t index) {
  Page& page = pages_[index];
  const auto [begin, end] = by_hash_.equal_range(hash_page(page.before, page.tokens));
  by_hash_.erase(
      std::find_if(begin, end, [&](const auto& entry) { return entry.second == index; }));
  page.prefix = page.before = 0;
  page.tokens.clear();
}

const PageCache::Page* PageCache::lookup(Prefix before, std::span<const int32_t> tokens,
                                         int32_t& index) const {
  const auto [begin, end] = by_hash_.equal_range(hash_page(before, tokens));
  for (auto entry = begin; entry != end; ++entry) {
    const Page& page = pages_[entry->second];
    if (page.before != before || !std::equal(tokens.begin(), tokens.end(), page.tokens.begin()))
      continue;
    index = entry->second;
    return &page;
  }
  return nullptr;
}

PageCache::Prefix PageCache::remember(int32_t index, Prefix before,
                                      std::span<const int32_t> tokens) {
  int32_t other = 0;
  if (const Page* same = lookup(before, tokens, other)) return same->prefix;
  Page& page = pages_[index];
  page.prefix = ++last_prefix_;
  page.before = before;
  page.tokens.assign(tokens.begin(), tokens.end());
  by_hash_.emplace(hash_page(before, tokens), index);
  return page.prefix;
}

std::optional<PageCache::Match> PageCache::find(Prefix before, std::span<const int32_t> tokens) {
  int32_t index = 0;
  if (!lookup(before, tokens, index)) return std::nullopt;
  Page& page = pages_[index];
  if (page.references++ == 0) idle_.erase(page.idle);
  return Match{index, page.prefix};
}

}  // namespace minke
