#pragma once
// What DeepSeek published about V3's training and a day of serving, and what the planner predicts
// for the same from hardware figures alone.

#include "plan/serving_plan.h"
#include "plan/training_plan.h"

namespace minke {

// V3 report, table 1: H800 hours and their price.
struct TrainingBill {
  double hours_per_trillion = 180e3, trillions = 14.8;
  double context_hours = 119e3, post_training_hours = 5e3;
  double price = 2.0;  // USD an hour

  double pre_training_hours() const { return hours_per_trillion * trillions; }
  double hours() const { return pre_training_hours() + context_hours + post_training_hours; }
  double cost() const { return hours() * price; }
};

// "Day 6" of DeepSeek's open-infra-index: 27 to 28 February 2025.
ServiceDay published_day();
constexpr double published_prefill_tokens = 73.7e3;  // tokens/s of a node, hits included
constexpr double published_decode_tokens = 14.8e3;

// 2,048 H800, PP 16, EP 64, ZeRO-1, DualPipe, FP8.
TrainingPlan predicted_v3_training();
// EP 32 for prompts, EP 144 with 32 redundant experts for generation.
ServingPlan predicted_v3_serving();

}  // namespace minke
