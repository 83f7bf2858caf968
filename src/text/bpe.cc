#include "text/bpe.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "text/hash.h"

namespace minke {

Bpe::Bpe(std::vector<BpeMerge> merges, const std::array<int32_t, 256>& byte_ids,
         std::unordered_map<std::string, int32_t> whole_pieces)
    : merges_(std::move(merges)), byte_ids_(byte_ids), whole_pieces_(std::move(whole_pieces)) {
  for (size_t rank = 0; rank < merges_.size(); ++rank)
    ranks_.insert(PairMap::key(merges_[rank].left, merges_[rank].right)) =
        static_cast<int32_t>(rank);
}

void Bpe::encode(std::string_view piece, Workspace& workspace, std::vector<int32_t>& out) const {
  if (piece.size() == 1) {
    if (byte_id(piece[0]) >= 0) out.push_back(byte_id(piece[0]));
    return;
  }
  if (piece.size() > CacheEntry::max_bytes) return merge(piece, workspace, out);
  CacheEntry& entry = workspace.cache[hash_bytes(piece) % workspace.cache.size()];
  if (entry.bytes == piece.size() && std::memcmp(entry.piece, piece.data(), piece.size()) == 0) {
    out.insert(out.end(), entry.ids, entry.ids + entry.count);
    return;
  }
  const size_t before = out.size();
  merge(piece, workspace, out);
  const size_t count = out.size() - before;
  if (count > CacheEntry::max_ids) return;
  entry.bytes = static_cast<uint8_t>(piece.size());
  entry.count = static_cast<uint8_t>(count);
  std::memcpy(entry.piece, piece.data(), piece.size());
  std::copy_n(out.data() + before, count, entry.ids);
}

// Symbols form a linked list and candidate pairs a heap, so a piece of n bytes takes O(n log n). A
// heap entry is stale when its two symbols are no longer those of its merge.
void Bpe::merge(std::string_view piece, Workspace& workspace, std::vector<int32_t>& out) const {
  if (!whole_pieces_.empty()) {
    const auto whole = whole_pieces_.find(std::string(piece));
    if (whole != whole_pieces_.end()) return out.push_back(whole->second);
  }
  auto& [cache, symbols, heap] = workspace;
  symbols.clear();
  heap.clear();
  for (const char byte : piece)
    if (const int32_t id = byte_id(byte); id >= 0) {
      const auto i = static_cast<int32_t>(symbols.size());
      symbols.push_back({id, i - 1, i + 1});
    }
  if (symbols.empty()) return;
  symbols.back().next = -1;
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i + 1 < count; ++i) push_pair(i, workspace);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const BpeMerge& rule = merges_[heap.back() >> 32];
    const auto left = static_cast<int32_t>(heap.back() & 0xFFFFFFFF);
    heap.pop_back();
    const int32_t right = symbols[left].next;
    if (symbols[left].id != rule.left || right < 0 || symbols[right].id != rule.right) continue;
    symbols[left].id = rule.result;
    symbols[left].next = symbols[right].next;
    symbols[right].id = -1;
    if (symbols[left].next >= 0) symbols[symbols[left].next].previous = left;
    if (symbols[left].previous >= 0) push_pair(symbols[left].previous, workspace);
    push_pair(left, workspace);
  }
  for (int32_t i = 0; i >= 0; i = symbols[i].next) out.push_back(symbols[i].id);
}

void Bpe::push_pair(int32_t left, Workspace& workspace) const {
  const int32_t right = workspace.symbols[left].next;
  if (right < 0) return;
  const int32_t rank =
      ranks_.find(PairMap::key(workspace.symbols[left].id, workspace.symbols[right].id));
  if (rank == PairMap::none) return;
  workspace.heap.push_back(static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(left));
  std::push_heap(workspace.heap.begin(), workspace.heap.end(), std::greater<>());
}

}  // namespace minke
