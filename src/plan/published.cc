#include "plan/published.h"

#include "config/presets.h"

namespace minke {

ServiceDay published_day() {
  ServiceDay day;
  day.nodes = 226.75;
  day.input_tokens = 608e9;
  day.hit_tokens = 342e9;
  day.output_tokens = 168e9;
  day.price_hit = 0.14;
  day.price_miss = 0.55;
  day.price_output = 2.19;
  return day;
}

TrainingPlan predicted_v3_training() {
  TrainingJob job;
  job.tokens = 14.8e12;
  job.devices = 2048;
  job.precision = Precision::fp8;
  const Layout layout{16, 64, 1, true, Pipeline::dualpipe};
  return plan_training(shape_of(model_preset("deepseek-v3")), load_machine("h800"), job, layout);
}

ServingPlan predicted_v3_serving() {
  ServingJob job;
  job.precision = Precision::fp8;
  job.prefill_experts = 32;
  job.decode_experts = 144;
  job.redundant_experts = 32;
  job.prompt = job.context = 4989;
  job.cache_hits = 342.0 / 608.0;
  return plan_serving(shape_of(model_preset("deepseek-v3")), load_machine("h800"), job);
}

}  // namespace minke
