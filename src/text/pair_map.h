#pragma once
// A hash map from a pair of token ids to a number, for tables of merges: insert and find only, open
// addressing, one cache line per hit. Not thread-safe while inserting.

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace minke {

class PairMap {
 public:
  static constexpr int32_t none = -1;

  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  // The pair's value, none when it has none.
  int32_t find(uint64_t key) const { return slots_[slot_of(key)].value; }

  // The pair's value, which may be set; none right after the pair was inserted by this call.
  int32_t& insert(uint64_t key) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& slot = slots_[slot_of(key)];
    if (slot.key == empty) ++size_, slot.key = key;
    return slot.value;
  }

 private:
  static constexpr uint64_t empty = ~uint64_t{0};  // no pair: ids are not negative
  struct Slot {
    uint64_t key = empty;
    int32_t value = none;
  };

  size_t slot_of(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = mix64(key) & mask;
    while (slots_[at].key != key && slots_[at].key != empty) at = (at + 1) & mask;
    return at;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.key != empty) slots_[slot_of(slot.key)] = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1024);
  size_t size_ = 0;
};

}  // namespace minke
