#include "text/bpe_trainer.h"

#include <algorithm>
#include <iterator>
#include <queue>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/pair_map.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

constexpr auto first_specials = static_cast<int32_t>(std::size(special::first));
constexpr auto last_specials = static_cast<int32_t>(std::size(special::last));
constexpr int32_t smallest_vocabulary = first_specials + 256 + last_specials;

// The words as sequences of token ids, and for each pair of neighbours how often it occurs and in
// which words. A merge touches only the words that have the pair.
class Merger {
 public:
  struct Candidate {
    int64_t count;
    int32_t left, right;
    bool operator<(const Candidate& other) const {  // the top of the heap is the next merge
      if (count != other.count) return count < other.count;
      return PairMap::key(left, right) > PairMap::key(other.left, other.right);
    }
  };

  void add_word(std::string_view word, int64_t count, const std::array<int32_t, 256>& byte_ids) {
    words_.push_back({ids_.size(), static_cast<int32_t>(word.size()), count});
    for (const char byte : word) ids_.push_back(byte_ids[static_cast<uint8_t>(byte)]);
  }

  void count_pairs() {
    for (size_t word = 0; word < words_.size(); ++word) {
      const int32_t* ids = ids_.data() + words_[word].begin;
      for (int32_t i = 0; i + 1 < words_[word].length; ++i)
        change(ids[i], ids[i + 1], words_[word].count, static_cast<int32_t>(word));
    }
    push_changed();
  }

  // The most frequent pair; count 0 when no pair is left. An entry of the heap may be out of date,
  // but every pair has one that is not too low, so the top is right once it agrees with the count.
  Candidate next() {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      const int64_t count = pairs_[pair_index(top.left, top.right)].count;
      if (count == top.count) return top;
      if (count > 0) heap_.push({count, top.left, top.right});
    }
    return {0, 0, 0};
  }

  void merge(int32_t left, int32_t right, int32_t result) {
    const std::vector<int32_t> affected = std::move(pairs_[pair_index(left, right)].words);
    for (const int32_t word : affected) merge_in_word(word, left, right, result);
    Pair& merged = pairs_[pair_index(left, right)];
    merged.count = 0;
    merged.words.clear();
    push_changed();
  }

 private:
  struct Word {
    size_t begin;    // in ids_
    int32_t length;  // in ids; shrinks
    int64_t count;
  };
  struct Pair {
    int64_t count = 0;
    bool grown = false;          // since the last push_changed()
    std::vector<int32_t> words;  // where it occurs or occurred
    int32_t left = 0, right = 0;
  };

  int32_t pair_index(int32_t left, int32_t right) {
    int32_t& index = index_.insert(PairMap::key(left, right));
    if (index == PairMap::none) {
      index = static_cast<int32_t>(pairs_.size());
      pairs_.emplace_back();
      pairs_.back().left = left;
      pairs_.back().right = right;
    }
    return index;
  }

  void change(int32_t left, int32_t right, int64_t count, int32_t word) {
    const int32_t index = pair_index(left, right);
    Pair& pair = pairs_[index];
    pair.count += count;
    if (count < 0) return;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
    if (!pair.grown) changed_.push_back(index);
    pair.grown = true;
  }

  void push_changed() {
    for (const int32_t index : changed_) {
      Pair& pair = pairs_[index];
      pair.grown = false;
      if (pair.count > 0) heap_.push({pair.count, pair.left, pair.right});
    }
    changed_.clear();
  }

  // Replaces the pair from left to right; neighbours' pairs change with it.
  void merge_in_word(int32_t word_index, int32_t left, int32_t right, int32_t result) {
    Word& word = words_[word_index];
    int32_t* ids = ids_.data() + word.begin;
    int32_t kept = 0;
    for (int32_t i = 0; i < word.length; ++i) {
      if (i + 1 == word.length || ids[i] != left || ids[i + 1] != right) {
        ids[kept++] = ids[i];
        continue;
      }
      if (kept > 0) {
        change(ids[kept - 1], left, -word.count, word_index);
        change(ids[kept - 1], result, word.count, word_index);
      }
      if (i + 2 < word.length) {
        change(right, ids[i + 2], -word.count, word_index);
        change(result, ids[i + 2], word.count, word_index);
      }
      ids[kept++] = result;
      ++i;
    }
    word.length = kept;
  }

  std::vector<Word> words_;
  std::vector<int32_t> ids_;
  std::vector<Pair> pairs_;
  PairMap index_;
  std::vector<int32_t> changed_;
  std::priority_queue<Candidate> heap_;
};

TokenizerDefinition start_definition(SplitPatterns patterns) {
  TokenizerDefinition definition;
  definition.patterns = std::move(patterns);
  for (const std::string_view token : special::first) {
    const auto id = static_cast<int32_t>(definition.tokens.size());
    definition.added.push_back({id, std::string(token), true, false});
    definition.tokens.emplace_back(token);
  }
  definition.bos = 0, definition.eos = 1, definition.pad = 2;
  definition.adds_bos = true;  // as DeepSeek's own files
  for (const uint8_t byte : byte_alphabet_order())
    definition.tokens.emplace_back(1, static_cast<char>(byte));
  return definition;
}

std::array<int32_t, 256> byte_ids(const TokenizerDefinition& definition) {
  std::array<int32_t, 256> ids;
  for (int32_t i = 0; i < 256; ++i)
    ids[static_cast<uint8_t>(definition.tokens[first_specials + i][0])] = first_specials + i;
  return ids;
}

// Adds merges until `tokens` has the given size. The same bytes can come from two different pairs:
// they are one token, and both merges are kept. A special token's text is never made by merges.
void make_merges(Merger& merger, size_t size, TokenizerDefinition& definition) {
  constexpr int32_t forbidden = -1;
  auto& tokens = definition.tokens;
  std::unordered_map<std::string, int32_t> ids;
  for (size_t id = 0; id < tokens.size(); ++id) ids[tokens[id]] = static_cast<int32_t>(id);
  for (const std::string_view token : special::first) ids[std::string(token)] = forbidden;
  for (const std::string_view token : special::last) ids[std::string(token)] = forbidden;

  while (tokens.size() < size) {
    const auto [count, left, right] = merger.next();
    if (count == 0)
      fail(
          "the text is too small for a vocabulary of {} tokens: there are only {} different "
          "merges in it, so the largest vocabulary is {}; give more text or a smaller --vocab-size",
          size + last_specials, definition.merges.size(), tokens.size() + last_specials);
    const auto [entry, is_new] =
        ids.try_emplace(tokens[left] + tokens[right], static_cast<int32_t>(tokens.size()));
    if (entry->second == forbidden) continue;
    if (is_new) tokens.push_back(entry->first);
    definition.merges.push_back({left, right, entry->second});
    merger.merge(left, right, entry->second);
  }
}

}  // namespace

BpeTrainer::BpeTrainer(const BpeTrainerOptions& options)
    : options_(options),
      patterns_(deepseek_v3_patterns(options.individual_digits)),
      words_(patterns_) {
  if (options.vocab_size < smallest_vocabulary)
    fail_usage("a vocabulary of {} tokens is too small: 256 bytes and {} special tokens need {}",
               options.vocab_size, first_specials + last_specials, smallest_vocabulary);
}

TokenizerDefinition BpeTrainer::train() {
  TokenizerDefinition definition = start_definition(patterns_);
  const auto ids = byte_ids(definition);
  Merger merger;
  bool any_words = false;
  words_.for_each([&](std::string_view word, uint64_t, int64_t count) {
    merger.add_word(word, count, ids);
    any_words = true;
  });
  if (!any_words) fail("there is no text to train a tokenizer on: the corpus is empty");
  merger.count_pairs();
  make_merges(merger, options_.vocab_size - last_specials, definition);
  for (const std::string_view token : special::last) {
    const auto id = static_cast<int32_t>(definition.tokens.size());
    definition.added.push_back({id, std::string(token), false, false});
    definition.tokens.emplace_back(token);
  }
  return definition;
}

}  // namespace minke
