#include "text/word_counts.h"

#include <algorithm>
#include <atomic>

#include "base/threads.h"
#include "text/hash.h"
#include "text/utf8.h"

namespace minke {

void WordTable::add(std::string_view word, uint64_t hash, int64_t count) {
  if (2 * (size_ + 1) > entries_.size()) grow();
  Entry& entry = slot_of(word, hash);
  if (entry.count == 0) {
    entry = {hash, 0, bytes_.size(), word.size()};
    bytes_ += word;
    ++size_;
  }
  entry.count += count;
}

WordTable::Entry& WordTable::slot_of(std::string_view word, uint64_t hash) {
  size_t at = hash & (entries_.size() - 1);
  while (entries_[at].count > 0 && (entries_[at].hash != hash || word_of(entries_[at]) != word))
    at = (at + 1) & (entries_.size() - 1);
  return entries_[at];
}

void WordTable::grow() {
  std::vector<Entry> old(entries_.size() * 2);
  old.swap(entries_);
  for (const Entry& entry : old)
    if (entry.count > 0) slot_of(word_of(entry), entry.hash) = entry;
}

WordCounter::WordCounter(const SplitPatterns& patterns) : pre_tokenizer_(patterns) {}

void WordCounter::add(std::string_view document) {
  pending_.emplace_back(document);
  pending_bytes_ += document.size();
  if (pending_bytes_ >= batch_bytes) count_pending();
}

// Tasks count runs of documents into tables of their own, then each shared table takes its words.
void WordCounter::count_pending() {
  const auto documents = static_cast<int64_t>(pending_.size());
  const int64_t tasks = std::min<int64_t>(documents, thread_count());
  std::vector<std::vector<WordTable>> counted(tasks, std::vector<WordTable>(table_count));
  std::atomic<int64_t> next = 0;
  parallel_for(tasks, [&](int64_t task) {
    PreTokenizer::Workspace workspace;
    for (int64_t i; (i = next.fetch_add(1)) < documents;)
      count_document(pending_[i], workspace, counted[task]);
  });
  parallel_for(table_count, [&](int64_t table) {
    for (const auto& tables : counted)
      tables[table].for_each([&](std::string_view word, uint64_t hash, int64_t count) {
        tables_[table].add(word, hash, count);
      });
  });
  pending_.clear();
  pending_bytes_ = 0;
}

void WordCounter::count_document(std::string_view document, PreTokenizer::Workspace& workspace,
                                 std::vector<WordTable>& tables) const {
  const auto count = [&](std::string_view word) {
    const uint64_t hash = hash_bytes(word);
    tables[hash >> 58].add(word, hash, 1);
  };
  while (!document.empty()) {
    const size_t valid = valid_utf8_prefix(document);
    pre_tokenizer_.split(document.substr(0, valid), workspace, [&](std::string_view word) {
      for (; word.size() > max_word_bytes; word.remove_prefix(max_word_bytes))
        count(word.substr(0, max_word_bytes));
      count(word);
    });
    document.remove_prefix(std::min(valid + 1, document.size()));
  }
}

}  // namespace minke
