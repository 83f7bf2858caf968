#pragma once
// index.json of a prepared data set: what its shards hold and how they were made. The format is
// described in docs/formats-shards.md.

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"

namespace minke {

struct ShardEntry {
  std::string file;
  int64_t tokens = 0;
  int64_t documents = 0;  // that end in it
  std::string sha256;     // of the whole file
};

struct SplitEntry {
  int64_t tokens = 0;
  int64_t documents = 0;
  int64_t text_bytes = 0;  // UTF-8 text of the documents
  std::vector<ShardEntry> shards;
};

struct DatasetIndex {
  int32_t vocab_size = 0;
  int32_t eos_id = 0;
  int32_t token_width = 2;  // bytes of a token in the shards, 2 or 4
  std::string tokenizer_sha256;
  std::vector<int32_t> token_bytes;  // bytes of text that each id stands for; 0 for added tokens
  SplitEntry train, validation;

  // How it was made.
  double validation_fraction = 0, fim_rate = 0, near_duplicates = 0;
  uint64_t seed = 0;
  int64_t documents_read = 0, exact_duplicates = 0, near_duplicates_found = 0, fim_documents = 0;
};

void write_index(const DatasetIndex& index, const fs::path& folder);

// A folder without an index, or a damaged one, is an Error.
DatasetIndex read_index(const fs::path& folder);

// For people and for --json: the same without the long list of token_bytes.
std::string index_summary(const DatasetIndex& index);

}  // namespace minke
