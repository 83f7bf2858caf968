#pragma once
// A corpus as a stream of documents. Inputs are files and folders (searched through, in the order
// of their names; what begins with a dot or an underscore is left out). By the file's name:
//   .txt .text .md .rst ...  plain text; one longer than 1 MB is cut between paragraphs
//   .jsonl .ndjson           one JSON object a line, its text in one field
//   .html .htm .xhtml        HTML; .pod Perl's POD; .dict a dictd database: see extract.h
// each also compressed (.gz .dz .zst). A file named by itself may have any other name and is plain
// text then. Bytes that are not UTF-8 are read as Latin-1.

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/files.h"

namespace minke {

struct Document {
  std::string text;    // valid UTF-8, never empty
  std::string source;  // the file, with the line for JSONL
};

struct CorpusOptions {
  std::string text_field = "text";  // of JSONL
  // Stop once the documents have this many bytes. Files then come in an order shuffled by their
  // names, so that the beginning is a sample of the whole.
  int64_t max_bytes = std::numeric_limits<int64_t>::max();
};

struct CorpusSummary {
  int64_t files = 0, skipped_files = 0, documents = 0, bytes = 0;
};

// Calls use(documents) with batches of some 32 MB, always in the same order; memory stays bounded
// by the batch and by one file that needs extraction. Uses all threads. A binary file in a folder
// is skipped with a warning that names it; one named by itself, damaged JSONL or a corpus without
// any text is an Error.
CorpusSummary read_corpus(const std::vector<fs::path>& inputs, const CorpusOptions& options,
                          const std::function<void(std::vector<Document>& batch)>& use);

}  // namespace minke
