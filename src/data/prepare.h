#pragma once
// data/: from a corpus to what a training run reads. It owns corpus reading, text extraction,
// deduplication, fill-in-the-middle, shards and the order in which a run sees them; it includes
// text and base. What must hold: the same corpus and settings give the same bytes for any number of
// threads, and a position in the data is one integer.

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/dataset_index.h"

namespace minke {

struct PrepareOptions {
  std::vector<fs::path> inputs;
  fs::path tokenizer;  // folder; its files are copied into the output
  fs::path output;     // folder; appears when it is complete, replacing one that was there
  CorpusOptions corpus;
  double validation_fraction = 0.01;  // of the documents, chosen by the hash of their text
  double fim_rate = 0.1;              // share of the training documents that are rearranged
  double near_duplicates = 0.8;       // similarity from which a document is left out; 0: keep them
  int64_t shard_tokens = 1 << 25;
  uint64_t seed = 0;  // of fill-in-the-middle
  // Added tokens written in the text, <think> for one, become tokens: for text that is trusted.
  bool parse_special = false;
};

// Reads the corpus twice, first for hashes, then for tokens: memory holds a batch of documents, one
// shard and some 500 bytes for each document. At least one document is for validation if there are
// two. Uses all threads.
DatasetIndex prepare_data(const PrepareOptions& options);

}  // namespace minke
