#pragma once
// A shard: a 64-byte header and token ids, as docs/formats-shards.md describes it.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/dataset_index.h"

namespace minke {

// Collects the tokens of one split and writes them as PREFIX-00000.bin, PREFIX-00001.bin ... One
// shard is in memory at a time. Not thread-safe.
class ShardWriter {
 public:
  ShardWriter(fs::path folder, std::string prefix, int32_t token_width, int64_t shard_tokens);

  // One document, its EOS included; text_bytes is the UTF-8 that it stands for.
  void add(std::span<const int32_t> document, int64_t text_bytes);
  // Writes the last shard and returns the split's entry for the index.
  SplitEntry finish();

 private:
  void append(std::span<const int32_t> tokens);
  void write_shard();

  fs::path folder_;
  std::string prefix_;
  int32_t token_width_;
  int64_t shard_tokens_;
  std::string payload_;
  ShardEntry current_;
  SplitEntry split_;
};

// A shard mapped for reading. Thread-safe. Movable.
class Shard {
 public:
  // A file that is cut short, damaged or not what the index says is an Error that names it. verify
  // reads the whole file to compare its checksum.
  Shard(const fs::path& path, int64_t tokens, int32_t token_width, bool verify);

  int64_t tokens() const { return tokens_; }
  // Copies `count` tokens from position `first` on.
  void read(int64_t first, int64_t count, int32_t* out) const;

 private:
  MappedFile file_;
  int64_t tokens_;
  int32_t token_width_;
};

}  // namespace minke
