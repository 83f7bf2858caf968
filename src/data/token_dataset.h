#pragma once
// The data of a training run: windows of a prepared data set in an order that is a pure function of
// (seed, epoch), so that the number of sequences consumed is the whole position.
//
// The documents of a split, each with its EOS, are one stream of tokens. Window i begins at token
// i * sequence_length and has sequence_length + 1 + mtp_depth tokens: the inputs and, behind them,
// the targets of the last inputs. The tail that fills no window is left out.

#include <cstdint>
#include <span>
#include <vector>

#include "base/files.h"
#include "data/dataset_index.h"
#include "data/shard.h"

namespace minke {

enum class Split { train, validation };

struct WindowOptions {
  int64_t sequence_length = 0;
  int64_t mtp_depth = 0;  // further targets of multi-token prediction
  uint64_t seed = 0;      // of the shuffle
  bool verify = true;     // read all shards once at the start to compare their checksums
};

// Immutable and thread-safe. Owns the mapped shards.
class TokenDataset {
 public:
  // Training windows are shuffled anew in every epoch, validation windows come in order. A damaged
  // folder, or a split too short for one window, is an Error.
  TokenDataset(const fs::path& folder, Split split, const WindowOptions& options);

  // Tokens of a window: sequence_length + 1 + mtp_depth.
  int64_t window() const { return options_.sequence_length + 1 + options_.mtp_depth; }
  // Windows in one pass over the split.
  int64_t windows() const { return windows_; }

  // Sequences first .. first + count - 1 of the endless order of epochs: out is [count, window()].
  // A token that the index's vocabulary does not have is an Error.
  void read_sequences(int64_t first, int64_t count, int32_t* out) const;

  // UTF-8 bytes of the targets sequence[1 .. sequence_length]: bits per byte are
  // (sum of nats) / ln 2 / (sum of these). EOS counts 0 bytes: its cost is spread over the text.
  int64_t target_bytes(std::span<const int32_t> sequence) const;

  // Positions in the sequence where a document begins (the token behind an EOS), rising; the first
  // token is one only if it follows an EOS that is not in the sequence, which cannot be seen here.
  std::vector<int64_t> document_starts(std::span<const int32_t> sequence) const;

  const DatasetIndex& index() const { return index_; }
  const SplitEntry& split() const {
    return split_ == Split::train ? index_.train : index_.validation;
  }

 private:
  void read_window(int64_t window, int32_t* out) const;

  DatasetIndex index_;
  Split split_;
  WindowOptions options_;
  std::vector<Shard> shards_;
  std::vector<int64_t> starts_;  // of each shard in the stream, and the end of the last
  int64_t windows_ = 0;
};

}  // namespace minke
