#pragma once
// Moving tokens to their experts and back. A slot is one (token, k) pair; slots are sorted by
// expert, then by token, and each becomes one row of the experts' input. No token is dropped and no
// expert is padded: the number of rows is always T·top_k.

#include <cstdint>
#include <vector>

#include "tensor/arena.h"

namespace minke {

struct ExpertRoute {
  Tensor token_of_row;           // i32 [T·K]
  Tensor row_of_slot;            // i32 [T, K]
  std::vector<int64_t> offsets;  // [E + 1]: expert e owns rows [offsets[e], offsets[e + 1])
};

ExpertRoute allocate_route(Arena& arena, int64_t tokens, int64_t top_k, int64_t experts);

// Fills the route from indices i32 [T, K].
void route_tokens(ExpertRoute& route, const Tensor& indices);

// rows [T·K, n] = x [T, n] of each row's token.
void gather_rows(const Tensor& rows, const Tensor& x, const ExpertRoute& route);
// Its gradient: dx [T, n] (+)= Σ_k drows of the token's slots, k in order.
void gather_rows_backward(const Tensor& dx, const Tensor& drows, const ExpertRoute& route,
                          bool accumulate);

// y [T, n] += Σ_k weights[t, k]·rows of slot (t, k), k in order.
void combine_rows(const Tensor& y, const Tensor& rows, const Tensor& weights,
                  const ExpertRoute& route);
// drows [T·K, n] = weight·dy of the slot's token; dweights f32 [T, K] = Σ dy⊙rows.
void combine_rows_backward(const Tensor& drows, const Tensor& dweights, const Tensor& dy,
                           const Tensor& rows, const Tensor& weights, const ExpertRoute& route);

}  // namespace minke
