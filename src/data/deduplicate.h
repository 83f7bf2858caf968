#pragma once
// Which documents of a corpus have been seen before, word for word or nearly so.
//
// Nearly: a document is the set of its 5-grams of words (small letters; each character outside of
// ASCII counts as a word). MinHash estimates how much two such sets have in common (Jaccard): the
// hash of a 5-gram picks one of 128 slots, each slot keeps its smallest hash, an empty slot borrows
// from another (optimal densification), and the share of equal slots is the estimate. Slots are
// compared in 16 bands of 8: only documents that agree in a whole band are compared at all, which
// finds 95 % of the pairs that have 0.8 in common and all but all of those with 0.9.

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "text/pair_map.h"

namespace minke {

struct ContentHash {
  uint64_t high = 0, low = 0;  // the first 128 bits of the text's SHA-256
  bool operator==(const ContentHash&) const = default;
};
ContentHash content_hash(std::string_view text);

constexpr int minhash_slots = 128;
using MinHash = std::array<uint16_t, minhash_slots>;

// Pure functions, thread-safe.
MinHash min_hash(std::string_view text);
double similarity(const MinHash& a, const MinHash& b);

// Memory: 16 bytes a document and, for near duplicates, some 450 more. Not thread-safe; the answers
// depend on the order of the documents alone.
class Deduplicator {
 public:
  enum class Verdict { is_new, exact_duplicate, near_duplicate };

  // threshold: the similarity from which a document is a near duplicate; 0 looks for none.
  explicit Deduplicator(double threshold) : threshold_(threshold) {}

  // Remembers the document if it is new. signature is only read for a threshold above 0.
  Verdict add(const ContentHash& hash, const MinHash& signature);

 private:
  static constexpr int bands = 16, rows = minhash_slots / bands;
  static constexpr int most_candidates = 100;  // looked at for each band

  struct HashOf {
    size_t operator()(const ContentHash& hash) const { return hash.low; }
  };
  bool has_near_duplicate(const MinHash& signature) const;
  void remember(const MinHash& signature);

  double threshold_;
  std::unordered_set<ContentHash, HashOf> seen_;
  std::vector<MinHash> signatures_;
  PairMap newest_in_band_;         // key of a band -> the newest document with it
  std::vector<int32_t> previous_;  // [document, band] -> the document before with the same key
};

}  // namespace minke
