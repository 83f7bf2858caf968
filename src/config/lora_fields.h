#pragma once
// The fields of [lora], each listed once.

#include "config/fields.h"
#include "config/lora_config.h"

namespace minke {

template <typename Visit>
void visit_fields(LoraConfig& c, Visit&& visit) {
  visit(Field{"rank", "of the adapters; 0: all weights are trained", 0, 65536}, c.rank);
  visit(Field{"alpha", "W' = W + alpha/rank · B·A", 0, 1e6}, c.alpha);
  visit(Field{"targets",
              "linear layers that get an adapter, \"q_proj, v_proj\"; all-linear: all but lm_head "
              "and the router"},
        c.targets);
  visit(Field{"adapter", "PEFT's folder that it starts from; empty: A random, B = 0"}, c.adapter);
  visit(Field{"seed", "of A"}, c.seed);
}

}  // namespace minke
