#include "post/problem.h"

#include "base/random.h"

namespace minke {

uint64_t Problem::hash() const { return mix64(mix64(hash_name(task)) ^ hash_name(key)); }

}  // namespace minke
