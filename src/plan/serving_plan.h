#pragma once
// What serving a model costs: prompts (prefill) and generated tokens (decode) on separate devices,
// experts spread over many of them with redundant copies.

#include "plan/roofline.h"

namespace minke {

struct ServingJob {
  Precision precision = Precision::bf16;
  int64_t prefill_experts = 1;  // devices of a prefill unit, which share the experts
  int64_t decode_experts = 1;
  int64_t redundant_experts = 0;  // copies beyond one of each (EPLB)
  double prompt = 4096;           // tokens
  double cache_hits = 0;          // share of prompts found in a cache
  double context = 4989;          // mean tokens in the cache when one is generated
  int64_t batch = 0;              // sequences of a device in decode; 0: as many as memory holds
  double least_speed = 20;        // tokens/s of one user that the batch must leave
};

struct ServingPlan {
  // Seconds of one device for one token that is computed, at full load.
  double prefill_compute = 0, prefill_all_to_all = 0;
  double prefill_tokens = 0;  // prompt tokens/s of a node, hits included, peak
  double decode_step = 0;     // seconds of one step of all sequences
  double decode_weights = 0;  // seconds of it by part: products, attention, all-to-all
  double decode_attention = 0;
  double decode_all_to_all = 0;
  int64_t prefill_experts = 1, decode_experts = 1;  // as in the job
  int64_t batch = 0;
  double decode_tokens = 0;               // tokens/s of a node, peak
  double user_speed = 0;                  // tokens/s of one sequence
  double weights_gib = 0, cache_gib = 0;  // of a decode device
  // Expected over a day: times utilization.
  double mean_prefill_tokens = 0, mean_decode_tokens = 0;
  double cost_per_million_input = 0, cost_per_million_output = 0;  // USD
  std::string prefill_limit, decode_limit;
};

// Usage Errors: experts that do not divide, weights that do not fit, rates out of range.
ServingPlan plan_serving(const ModelShape& shape, const MachineFile& machine,
                         const ServingJob& job);

// Prompts and generation on the number of devices for a unit that costs least; one per device for
// models without experts. Usage Error: no number fits.
ServingPlan search_serving(const ModelShape& shape, const MachineFile& machine, ServingJob job);

// A day of a service and its bill.
struct ServiceDay {
  double nodes = 0, devices_per_node = 8, price_per_hour = 2;
  double input_tokens = 0, hit_tokens = 0, output_tokens = 0;
  double price_hit = 0, price_miss = 0, price_output = 0;  // USD per million

  double cost() const { return nodes * devices_per_node * 24 * price_per_hour; }
  double revenue() const;
  double margin() const { return revenue() / cost() - 1; }  // profit by cost
};

}  // namespace minke
