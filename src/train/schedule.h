#pragma once
// train/: optimisers, schedules, the training loop, checkpoints. May include model/, layers/,
// kernels/, data/, text/, comm/, io/, plan/, ledger/, tensor/, config/ and base/; never infer/.
// What must hold: a run that is stopped and resumed has the same bits as one that was not.
//
// This header: what changes over a run, as functions of the tokens seen so far.

#include "config/train_config.h"

namespace minke {

// The factor on the learning rates after `tokens` of `total_tokens`: linear warm-up from 0, then
// the schedule's form (see ScheduleConfig; deepseek_v3 is the report's section 4.2).
double learning_rate_factor(const ScheduleConfig& schedule, int64_t tokens, int64_t total_tokens);

// The same for trainings that count steps: a linear rise over the warm-up, then linear from 1 at
// the first step to final_factor at the last.
double linear_factor(int64_t warmup_steps, double final_factor, int64_t step, int64_t steps);

// Sequences of the step that starts after `tokens`: a linear ramp, in whole micro-batches.
int64_t batch_sequences(const BatchConfig& batch, int64_t tokens);

// λ of the MTP loss.
double mtp_lambda(const BalanceConfig& balance, int64_t tokens);

// u of the bias update, 0 once the bias is frozen.
double bias_update_speed(const BalanceConfig& balance, int64_t tokens, int64_t total_tokens);

}  // namespace minke
