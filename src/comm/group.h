#pragma once
// comm/: the ranks that train one model together. A trainer reduces its gradients and counts
// through a Group and does not know how many ranks there are. May include tensor/ and base/.

#include <cstdint>
#include <memory>
#include <span>

namespace minke {

// A fixed set of ranks. Every operation is collective: all ranks call it, in the same order, with
// the same number of elements. One thread of a rank calls it at a time. Owns no memory of the
// caller's.
//
// Numerics contract: a sum has the same bits on every rank, and its order depends on the number of
// ranks alone.
class Group {
 public:
  virtual ~Group() = default;

  virtual int rank() const = 0;  // of this process, in [0, size())
  virtual int size() const = 0;

  // Replaces each element by its sum over the ranks.
  virtual void all_reduce_sum(std::span<float> values) = 0;
  virtual void all_reduce_sum(std::span<int64_t> values) = 0;
  // Replaces the bytes by those of rank `root`.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  // Returns when all ranks have called it.
  virtual void barrier() = 0;
};

// The group of this process alone.
std::unique_ptr<Group> make_local_group();

}  // namespace minke
