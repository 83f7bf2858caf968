#pragma once
// Byte-pair encoding of one piece: from single bytes, the adjacent pair with the lowest merge rank
// is joined, leftmost first, until no pair has a rank.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/pair_map.h"

namespace minke {

struct BpeMerge {
  int32_t left, right, result;  // token ids
};

// Immutable after construction and thread-safe; each thread brings a Workspace.
class Bpe {
 public:
  struct Symbol {
    int32_t id, previous, next;  // neighbours as indices, -1 at the ends
  };
  struct CacheEntry {
    static constexpr size_t max_bytes = 22, max_ids = 10;
    uint8_t bytes = 0, count = 0;
    char piece[max_bytes];
    int32_t ids[max_ids];
  };
  static_assert(sizeof(CacheEntry) == 64, "one cache line");
  // A thread's buffers and its cache of short pieces (4 MB, the newest piece of a slot stays).
  struct Workspace {
    std::vector<CacheEntry> cache = std::vector<CacheEntry>(1 << 16);
    std::vector<Symbol> symbols;
    std::vector<uint64_t> heap;  // rank << 32 | index of the pair's left symbol
  };

  // merges in the order of their rank; byte_ids[b] is the token of the single byte b, -1
  // if it has none: such bytes are left out, as in the `tokenizers` package. A piece found in
  // whole_pieces (empty for most tokenizers) is that token, whatever the merges say.
  Bpe(std::vector<BpeMerge> merges, const std::array<int32_t, 256>& byte_ids,
      std::unordered_map<std::string, int32_t> whole_pieces);

  // Appends the piece's token ids to out.
  void encode(std::string_view piece, Workspace& workspace, std::vector<int32_t>& out) const;

  int32_t byte_id(char byte) const { return byte_ids_[static_cast<uint8_t>(byte)]; }

 private:
  void merge(std::string_view piece, Workspace& workspace, std::vector<int32_t>& out) const;
  void push_pair(int32_t left, Workspace& workspace) const;

  std::vector<BpeMerge> merges_;
  PairMap ranks_;
  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<std::string, int32_t> whole_pieces_;
};

}  // namespace minke
