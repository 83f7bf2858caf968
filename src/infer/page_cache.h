#pragma once
// Which sequence has which pages of the pool, and which pages can be had again because another
// sequence begins with the same tokens.

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace minke {

// A full page of 64 tokens is remembered under those tokens and all before them; it stays usable
// after its sequence has gone, until its memory is needed for another (least recently used first).
// Not thread-safe.
class PageCache {
 public:
  // Names what a page holds: its tokens and all before them. 0: nothing.
  using Prefix = uint64_t;

  explicit PageCache(int64_t pages);

  int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  // Pages that allocate() can still give.
  int64_t available() const { return static_cast<int64_t>(unused_.size() + idle_.size()); }

  // A page for new tokens, with one reference; nothing if all are in use.
  std::optional<int32_t> allocate();
  // Gives a reference back.
  void release(int32_t page);

  // `page` holds these 64 tokens after `before`. Returns the name for what it holds, which is that
  // of an earlier page if one holds the same.
  Prefix remember(int32_t page, Prefix before, std::span<const int32_t> tokens);
  // The page that holds these tokens after `before`, with a reference added.
  struct Match {
    int32_t page;
    Prefix prefix;
  };
  std::optional<Match> find(Prefix before, std::span<const int32_t> tokens);

 private:
  struct Page {
    int64_t references = 0;
    Prefix prefix = 0, before = 0;  // 0: not remembered
    std::vector<int32_t> tokens;
    std::list<int32_t>::iterator idle;  // place in idle_, if remembered without references
  };

  const Page* lookup(Prefix before, std::span<const int32_t> tokens, int32_t& index) const;
  void forget(int32_t page);

  std::vector<Page> pages_;
  std::vector<int32_t> unused_;
  std::list<int32_t> idle_;  // remembered, without references; least recently used first
  std::unordered_multimap<uint64_t, int32_t> by_hash_;
  Prefix last_prefix_ = 0;
};

}  // namespace minke
