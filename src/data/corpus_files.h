#pragma once
// Which files a corpus consists of, and the documents of one of them.

#include <functional>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace minke {

enum class FileKind { text, jsonl, html, pod, dict };

struct CorpusFile {
  fs::path path;
  std::string name;  // relative to the input that it was found in
  FileKind kind;
  bool named;     // by the caller, not found in a folder
  int64_t bytes;  // an estimate of its size when decompressed
};

// The files of the inputs, sorted by name within each input. An input that is not there is an
// Error.
std::vector<CorpusFile> find_corpus_files(const std::vector<fs::path>& inputs);

// Whether a file or folder of that path would be found in the folder.
bool is_searched(const fs::path& folder, const fs::path& path);

// Calls use(document) for each document of the file, in order. A binary file is an Error.
void read_documents(const CorpusFile& file, const std::string& text_field,
                    const std::function<void(Document document)>& use);

}  // namespace minke
