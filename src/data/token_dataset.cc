#include "data/token_dataset.h"

#include <algorithm>

#include "base/error.h"
#include "data/shuffle.h"

namespace minke {

TokenDataset::TokenDataset(const fs::path& folder, Split split, const WindowOptions& options)
    : index_(read_index(folder)), split_(split), options_(options) {
  if (options.sequence_length < 1 || options.mtp_depth < 0)
    fail_usage("a window of {} tokens with {} further targets makes no sense",
               options.sequence_length, options.mtp_depth);
  const SplitEntry& entry = this->split();
  starts_.push_back(0);
  for (const ShardEntry& shard : entry.shards) {
    shards_.emplace_back(folder / shard.file, shard.tokens, index_.token_width, options.verify);
    starts_.push_back(starts_.back() + shard.tokens);
  }
  windows_ = (starts_.back() - 1 - options.mtp_depth) / options.sequence_length;
  if (windows_ < 1)
    fail(
        "the {} split of {} has {} tokens, too few for one sequence of {} and the targets behind "
        "it; use shorter sequences or more text",
        split == Split::train ? "training" : "validation", folder.string(), starts_.back(),
        options.sequence_length);
}

void TokenDataset::read_sequences(int64_t first, int64_t count, int32_t* out) const {
  require(first >= 0, "sequence {} was asked for", first);
  for (int64_t sequence = first; sequence < first + count; ++sequence, out += window()) {
    const auto epoch = static_cast<uint64_t>(sequence / windows_);
    const int64_t position = sequence % windows_;
    const uint64_t seed = mix64(options_.seed) ^ epoch;
    read_window(split_ == Split::train ? permuted(position, windows_, seed) : position, out);
  }
}

void TokenDataset::read_window(int64_t window_index, int32_t* out) const {
  const std::span<const int32_t> tokens(out, static_cast<size_t>(window()));
  int64_t position = window_index * options_.sequence_length;
  auto shard = std::upper_bound(starts_.begin(), starts_.end(), position) - starts_.begin() - 1;
  for (int64_t left = window(); left > 0; ++shard) {
    const int64_t count = std::min(left, starts_[shard + 1] - position);
    shards_[shard].read(position - starts_[shard], count, out);
    out += count;
    position += count;
    left -= count;
  }
  for (const int32_t token : tokens)
    if (token < 0 || token >= index_.vocab_size)
      fail("the shards have a token {}, the vocabulary has {}; prepare the data again", token,
           index_.vocab_size);
}

int64_t TokenDataset::target_bytes(std::span<const int32_t> sequence) const {
  int64_t bytes = 0;
  for (int64_t i = 1; i <= options_.sequence_length; ++i) bytes += index_.token_bytes[sequence[i]];
  return bytes;
}

std::vector<int64_t> TokenDataset::document_starts(std::span<const int32_t> sequence) const {
  std::vector<int64_t> starts;
  for (size_t i = 1; i < sequence.size(); ++i)
    if (sequence[i - 1] == index_.eos_id) starts.push_back(static_cast<int64_t>(i));
  return starts;
}

}  // namespace minke
