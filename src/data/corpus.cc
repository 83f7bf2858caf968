#include "data/corpus.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/threads.h"
#include "data/corpus_files.h"

namespace minke {
namespace {

constexpr int64_t batch_bytes = 32 << 20;

// Hands documents on in batches and counts them.
class Batcher {
 public:
  Batcher(int64_t max_bytes, const std::function<void(std::vector<Document>&)>& use)
      : max_bytes_(max_bytes), use_(use) {}

  void add(Document document) {
    if (full()) return;
    bytes_ += static_cast<int64_t>(document.text.size());
    summary.bytes += static_cast<int64_t>(document.text.size());
    ++summary.documents;
    batch_.push_back(std::move(document));
    if (bytes_ >= batch_bytes) flush();
  }
  void flush() {
    if (!batch_.empty()) use_(batch_);
    batch_.clear();
    bytes_ = 0;
  }
  bool full() const { return summary.bytes >= max_bytes_; }

  CorpusSummary summary;

 private:
  int64_t max_bytes_;
  const std::function<void(std::vector<Document>&)>& use_;
  std::vector<Document> batch_;
  int64_t bytes_ = 0;
};

// One file's documents, or why it cannot be used.
struct FileContent {
  std::vector<Document> documents;
  std::string problem;
  bool is_large = false;  // more than it seemed, too much to be kept
};

// A file that was found in a folder may be anything: what is wrong with it is a warning. JSONL is
// written on purpose, so its faults are the caller's to mend.
FileContent read_content(const CorpusFile& file, const std::string& text_field) {
  struct TooMuch {};
  FileContent content;
  int64_t bytes = 0;
  try {
    read_documents(file, text_field, [&](Document document) {
      bytes += static_cast<int64_t>(document.text.size());
      if (bytes > batch_bytes) throw TooMuch{};
      content.documents.push_back(std::move(document));
    });
  } catch (const TooMuch&) {
    content.documents.clear();
    content.is_large = true;
  } catch (const Error& error) {
    if (file.named || file.kind == FileKind::jsonl) throw;
    content.documents.clear();
    content.problem = error.what();
  }
  return content;
}

// Files from `begin` on that together fill a batch; a file that fills one alone stands alone.
size_t group_end(const std::vector<CorpusFile>& files, size_t begin) {
  int64_t bytes = files[begin].bytes;
  size_t end = begin + 1;
  while (end < files.size() && bytes + files[end].bytes <= batch_bytes) bytes += files[end++].bytes;
  return end;
}

// A file too large for memory goes through document by document.
void read_large(const CorpusFile& file, const std::string& text_field, Batcher& batcher) {
  struct Full {};
  try {
    read_documents(file, text_field, [&](Document document) {
      batcher.add(std::move(document));
      if (batcher.full()) throw Full{};
    });
  } catch (const Full&) {
  } catch (const Error& error) {
    if (file.named || file.kind == FileKind::jsonl) throw;
    ++batcher.summary.skipped_files;
    return warn("skipped from here on: {}", error.what());
  }
  ++batcher.summary.files;
}

void read_group(const std::vector<CorpusFile>& files, size_t begin, size_t end,
                const std::string& text_field, Batcher& batcher) {
  std::vector<FileContent> contents(end - begin);
  parallel_for(static_cast<int64_t>(end - begin),
               [&](int64_t i) { contents[i] = read_content(files[begin + i], text_field); });
  for (size_t i = 0; i < contents.size(); ++i) {
    FileContent& content = contents[i];
    if (content.is_large) {
      read_large(files[begin + i], text_field, batcher);
      continue;
    }
    ++(content.problem.empty() ? batcher.summary.files : batcher.summary.skipped_files);
    if (!content.problem.empty()) warn("skipped: {}", content.problem);
    for (Document& document : content.documents) batcher.add(std::move(document));
  }
}

void shuffle_by_name(std::vector<CorpusFile>& files) {
  std::stable_sort(files.begin(), files.end(), [](const CorpusFile& a, const CorpusFile& b) {
    return mix64(hash_name(a.name)) < mix64(hash_name(b.name));
  });
}

}  // namespace

CorpusSummary read_corpus(const std::vector<fs::path>& inputs, const CorpusOptions& options,
                          const std::function<void(std::vector<Document>& batch)>& use) {
  std::vector<CorpusFile> files = find_corpus_files(inputs);
  if (options.max_bytes < std::numeric_limits<int64_t>::max()) shuffle_by_name(files);
  Batcher batcher(options.max_bytes, use);
  for (size_t begin = 0; begin < files.size() && !batcher.full();) {
    const size_t end = group_end(files, begin);
    if (files[begin].bytes > batch_bytes)
      read_large(files[begin], options.text_field, batcher);
    else
      read_group(files, begin, end, options.text_field, batcher);
    begin = end;
  }
  batcher.flush();
  if (batcher.summary.documents == 0)
    fail(
        "the corpus is empty: {} files with a known name were found, {} of them not readable as "
        "text, none with any text in it (see docs/data.md for what can be read)",
        files.size(), batcher.summary.skipped_files);
  return batcher.summary;
}

}  // namespace minke
