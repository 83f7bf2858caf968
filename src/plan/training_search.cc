#include <algorithm>

#include "plan/training_plan.h"

namespace minke {
namespace {

std::vector<int64_t> divisors(int64_t number, int64_t most) {
  std::vector<int64_t> list;
  for (int64_t i = 1; i <= std::min(number, most); ++i)
    if (number % i == 0) list.push_back(i);
  return list;
}

// Every layout that the job's numbers allow.
std::vector<TrainingPlan> all_plans(const ModelShape& shape, const MachineFile& machine,
                                    const TrainingJob& job) {
  constexpr int64_t most_stages = 64, most_micro_batch = 8;
  std::vector<TrainingPlan> plans;
  const int64_t experts = std::max<int64_t>(1, shape.layers.back().experts());
  const auto layers = static_cast<int64_t>(shape.layers.size());
  const auto try_layout = [&](const Layout& layout) {
    try {
      plans.push_back(plan_training(shape, machine, job, layout));
    } catch (const Error&) {  // the numbers do not divide
    }
  };
  const bool linked = machine.spec.intra_node_gbps > 0;
  for (const int64_t pipeline : divisors(job.devices, std::min(most_stages, layers)))
    for (const int64_t parallel : divisors(experts, linked ? job.devices / pipeline : 1))
      for (int64_t micro = 1; micro <= most_micro_batch; micro *= 2)
        for (const bool recompute : {false, true})
          for (const Pipeline schedule : {Pipeline::one_f_one_b, Pipeline::dualpipe})
            if (pipeline > 1 || schedule == Pipeline::one_f_one_b)
              try_layout({pipeline, parallel, micro, recompute, schedule});
  return plans;
}

bool fits(const TrainingPlan& plan, const MachineFile& machine) {
  return plan.memory.total() <= machine.spec.memory_gib * 0x1p30;
}

// The smallest change with which some layout fits.
std::string remedy(const ModelShape& shape, const MachineFile& machine, const TrainingJob& job,
                   double least) {
  const auto any_fits = [&](const TrainingJob& other) {
    const auto plans = all_plans(shape, machine, other);
    return std::any_of(plans.begin(), plans.end(),
                       [&](const TrainingPlan& p) { return fits(p, machine); });
  };
  TrainingJob other = job;
  if (any_fits(other)) return "another layout of the same devices, without --pipeline";
  for (other.zero_stage = job.zero_stage + 1; other.zero_stage <= 3; ++other.zero_stage)
    if (any_fits(other)) return fmt::format("--zero {}", other.zero_stage);
  other = job;
  constexpr int64_t most_devices = 1 << 16;
  for (other.devices = job.devices * 2; other.devices <= most_devices; other.devices *= 2) {
    if (other.batch_sequences % other.devices != 0) other.batch_sequences = other.devices;
    if (any_fits(other)) return fmt::format("--devices {}", other.devices);
  }
  return fmt::format("devices with {:.0f} GiB", least / 0x1p30);
}

// The fastest plans that fit; without one, the smallest and what would help.
TrainingSearch choose(std::vector<TrainingPlan> plans, const ModelShape& shape,
                      const MachineFile& machine, const TrainingJob& job) {
  TrainingSearch search;
  search.tried = static_cast<int64_t>(plans.size());
  const TrainingPlan smallest = *std::min_element(
      plans.begin(), plans.end(),
      [](const auto& a, const auto& b) { return a.memory.total() < b.memory.total(); });
  std::erase_if(plans, [&](const TrainingPlan& p) { return !fits(p, machine); });
  std::sort(plans.begin(), plans.end(),
            [](const auto& a, const auto& b) { return a.step_seconds < b.step_seconds; });
  if (plans.empty()) {
    search.smallest = smallest;
    search.remedy = remedy(shape, machine, job, smallest.memory.total());
  }
  constexpr size_t most_shown = 3;
  plans.resize(std::min(plans.size(), most_shown));
  search.best = std::move(plans);
  return search;
}

}  // namespace

TrainingSearch search_training(const ModelShape& shape, const MachineFile& machine,
                               const TrainingJob& job) {
  std::vector<TrainingPlan> plans = all_plans(shape, machine, job);
  if (plans.empty())
    fail_usage(
        "no layout divides {} devices, {} sequences and the model's {} layers; change "
        "--devices or --batch (a multiple of the devices always works)",
        job.devices, job.batch_sequences, shape.layers.size());
  return choose(std::move(plans), shape, machine, job);
}

TrainingSearch judge_layout(const ModelShape& shape, const MachineFile& machine,
                            const TrainingJob& job, const Layout& layout) {
  return choose({plan_training(shape, machine, job, layout)}, shape, machine, job);
}

}  // namespace minke
