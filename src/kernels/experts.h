#pragma once
// Which tokens go to which experts. A slot is one (token, k) pair; slots are sorted by expert, then
// by token, and each is one row of what the experts compute. No token is dropped and no expert is
// padded: the number of rows is always T·top_k. Products take the rows' tokens from here and bring
// them back (kernels/matmul.h), so that no copy of the rows is made.

#include <cstdint>
#include <vector>

#include "tensor/arena.h"

namespace minke {

struct ExpertRoute {
  Tensor token_of_row;           // i32 [T·K], rising inside an expert
  Tensor weight_of_row;          // f32 [T·K]
  Tensor row_of_slot;            // i32 [T, K]
  std::vector<int64_t> offsets;  // [E + 1]: expert e owns rows [offsets[e], offsets[e + 1])
};

ExpertRoute allocate_route(Arena& arena, int64_t tokens, int64_t top_k, int64_t experts);

// Fills the route from indices i32 [T, K], of a token all different, and weights f32 [T, K].
void route_tokens(ExpertRoute& route, const Tensor& indices, const Tensor& weights);

// of_slots f32 [T, K] from of_rows f32 [T·K].
void slots_from_rows(const Tensor& of_slots, const Tensor& of_rows, const ExpertRoute& route);

}  // namespace minke
