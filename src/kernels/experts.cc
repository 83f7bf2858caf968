#include "kernels/experts.h"

#include <algorithm>

#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {

ExpertRoute allocate_route(Arena& arena, int64_t tokens, int64_t top_k, int64_t experts) {
  return {arena.allocate(DType::i32, {tokens * top_k}),
          arena.allocate(DType::f32, {tokens * top_k}), arena.allocate(DType::i32, {tokens, top_k}),
          std::vector<int64_t>(static_cast<size_t>(experts) + 1)};
}

// A counting sort, which is stable: rows of one expert keep the order of their tokens.
void route_tokens(ExpertRoute& route, const Tensor& indices, const Tensor& weights) {
  const MemoryScope scope("route", {indices, route.row_of_slot, route.token_of_row});
  const int64_t tokens = indices.rows(), top_k = indices.columns();
  expect_rows(route.row_of_slot, tokens, top_k, "route_tokens");
  expect_rows(weights, tokens, top_k, "route_tokens weights");
  const int64_t experts = static_cast<int64_t>(route.offsets.size()) - 1;
  std::fill(route.offsets.begin(), route.offsets.end(), 0);
  const int32_t* expert = indices.as<int32_t>();
  for (int64_t slot = 0; slot < tokens * top_k; ++slot) {
    require(expert[slot] >= 0 && expert[slot] < experts, "expert {} of {}", expert[slot], experts);
    ++route.offsets[expert[slot] + 1];
  }
  for (int64_t e = 0; e < experts; ++e) route.offsets[e + 1] += route.offsets[e];
  std::vector<int64_t> next(route.offsets.begin(), route.offsets.end() - 1);
  for (int64_t slot = 0; slot < tokens * top_k; ++slot) {
    const int64_t row = next[expert[slot]]++;
    route.token_of_row.as<int32_t>()[row] = static_cast<int32_t>(slot / top_k);
    route.weight_of_row.as<float>()[row] = weights.as<float>()[slot];
    route.row_of_slot.as<int32_t>()[slot] = static_cast<int32_t>(row);
  }
}

void slots_from_rows(const Tensor& of_slots, const Tensor& of_rows, const ExpertRoute& route) {
  const int32_t* row = route.row_of_slot.as<int32_t>();
  require(of_slots.size() == route.row_of_slot.size() && of_rows.size() == of_slots.size(),
          "slots_from_rows: {} from {}", of_slots, of_rows);
  for (int64_t slot = 0; slot < of_slots.size(); ++slot)
    of_slots.as<float>()[slot] = of_rows.as<float>()[row[slot]];
}

}  // namespace minke
