#pragma once
// How often each piece ("word") occurs in a stream of documents. Memory grows with the number of
// different words, not with the corpus.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/pre_tokenizer.h"

namespace minke {

// A hash table from bytes to a count, with the bytes in one block. Not thread-safe.
class WordTable {
 public:
  struct Entry {
    uint64_t hash = 0;
    int64_t count = 0;  // 0: the slot is free
    size_t offset = 0;
    size_t length = 0;
  };

  void add(std::string_view word, uint64_t hash, int64_t count);

  // Calls use(word, hash, count) for each word, in an order that depends on the history.
  template <typename Use>
  void for_each(Use&& use) const {
    for (const Entry& entry : entries_)
      if (entry.count > 0) use(word_of(entry), entry.hash, entry.count);
  }
  size_t size() const { return size_; }

 private:
  std::string_view word_of(const Entry& entry) const {
    return std::string_view(bytes_).substr(entry.offset, entry.length);
  }
  Entry& slot_of(std::string_view word, uint64_t hash);
  void grow();

  std::vector<Entry> entries_ = std::vector<Entry>(256);
  std::string bytes_;
  size_t size_ = 0;
};

// Counts with all threads; the counts do not depend on how many there are. Not thread-safe itself.
class WordCounter {
 public:
  // Words longer than this are counted in parts, so that no line without a space can make training
  // slow; ordinary text has none.
  static constexpr size_t max_word_bytes = 1024;

  explicit WordCounter(const SplitPatterns& patterns);

  // Bytes that are not valid UTF-8 are left out.
  void add(std::string_view document);

  // All words of the documents so far.
  template <typename Use>
  void for_each(Use&& use) {
    count_pending();
    for (const WordTable& table : tables_) table.for_each(use);
  }

 private:
  static constexpr size_t table_count = 64;
  static constexpr size_t batch_bytes = 16 << 20;

  void count_pending();
  void count_document(std::string_view document, PreTokenizer::Workspace& workspace,
                      std::vector<WordTable>& tables) const;

  PreTokenizer pre_tokenizer_;
  std::vector<WordTable> tables_ = std::vector<WordTable>(table_count);  // by the hash's top bits
  std::vector<std::string> pending_;
  size_t pending_bytes_ = 0;
};

}  // namespace minke
