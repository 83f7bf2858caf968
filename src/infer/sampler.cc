#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace minke {
namespace {

constexpr float excluded = -std::numeric_limits<float>::infinity();

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void check_numbers(std::span<const float> logits) {
  if (!std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }))
    fail(
        "the model's logits are not numbers; its weights are damaged, or too large for this dtype");
}

void check_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high))
    fail_usage("{} is {}, expected {} to {}", name, value, low, high);
}

}  // namespace

void check_sampling(const SamplingOptions& o, int64_t vocab_size) {
  check_range("temperature", o.temperature, 0, 100);
  check_range("top_p", o.top_p, 0, 1);
  check_range("min_p", o.min_p, 0, 1);
  check_range("top_k", static_cast<double>(o.top_k), 0, 0x1p31);
  check_range("repetition_penalty", o.repetition_penalty, 1e-2, 1e2);
  check_range("presence_penalty", o.presence_penalty, -100, 100);
  check_range("frequency_penalty", o.frequency_penalty, -100, 100);
  for (const auto& [token, bias] : o.logit_bias) {
    if (token < 0 || token >= vocab_size)
      fail_usage("logit_bias names token {}, the vocabulary has {}", token, vocab_size);
    check_range("logit_bias", bias, -1e3, 1e3);
  }
}

Sampler::Sampler(const SamplingOptions& options, std::span<const int32_t> prompt,
                 int64_t vocab_size)
    : options_(options), vocab_size_(static_cast<size_t>(vocab_size)) {
  check_sampling(options, vocab_size);
  if (options_.repetition_penalty != 1)
    for (const int32_t token : prompt)
      if (token < vocab_size) seen_[token] = true;
}

void Sampler::accept(int32_t token) {
  ++in_answer_[token];
  if (options_.repetition_penalty != 1) seen_[token] = true;
}

void Sampler::adjust(std::span<const float> logits, const TokenMask* mask) {
  logits_.assign(logits.begin(), logits.begin() + std::min(vocab_size_, logits.size()));
  check_numbers(logits_);
  for (const auto& [token, bias] : options_.logit_bias) logits_[token] += static_cast<float>(bias);
  const float penalty = static_cast<float>(options_.repetition_penalty);
  for (const auto& [token, unused] : seen_)
    logits_[token] = logits_[token] > 0 ? logits_[token] / penalty : logits_[token] * penalty;
  if (options_.presence_penalty != 0 || options_.frequency_penalty != 0)
    for (const auto& [token, count] : in_answer_)
      logits_[token] -= static_cast<float>(options_.presence_penalty +
                                           options_.frequency_penalty * static_cast<double>(count));
  if (!mask) return;
  for (size_t token = 0; token < logits_.size(); ++token)
    if (token / 64 >= mask->size() || !((*mask)[token / 64] >> (token % 64) & 1))
      logits_[token] = excluded;
}

int32_t Sampler::choose(std::span<const float> logits, int64_t position, const TokenMask* mask) {
  adjust(logits, mask);
  const int32_t best = most_likely(logits_);
  if (logits_[best] == excluded) fail("no token may come next: the grammar's mask is empty");
  return options_.temperature <= 0 ? best : draw(position);
}

// From the most likely token down until top-p's share is reached, or, where nothing is cut off, the
// share that was drawn; the order is made in pieces, as either is mostly reached early.
int32_t Sampler::draw(int64_t position) {
  const double top = *std::max_element(logits_.begin(), logits_.end());
  const auto weight = [&](int32_t token) {
    return std::exp((static_cast<double>(logits_[token]) - top) / options_.temperature);
  };
  double total = 0, candidates = 0;
  order_.clear();
  for (size_t token = 0; token < logits_.size(); ++token) {
    const double w = weight(static_cast<int32_t>(token));
    total += w;
    if (w == 0 || w < options_.min_p) continue;
    candidates += w;
    order_.push_back(static_cast<int32_t>(token));
  }
  Random random(options_.seed, static_cast<uint64_t>(position));
  const double drawn = random.uniform();
  const auto before = [&](int32_t a, int32_t b) {
    return logits_[a] != logits_[b] ? logits_[a] > logits_[b] : a < b;
  };
  const size_t limit =
      options_.top_k ? std::min(order_.size(), static_cast<size_t>(options_.top_k)) : order_.size();
  const bool keeps_all = options_.top_p >= 1 && limit == order_.size();
  const double wanted = keeps_all ? drawn * candidates : options_.top_p * total;
  const size_t first_sorted = order_.size() < 4096 ? 8 : 64;  // a piece reads the whole order
  double kept = 0;
  size_t count = 0, sorted = 0;
  const auto is_enough = [&] { return keeps_all ? kept > wanted : kept >= wanted; };
  while (count < limit && (count == 0 || !is_enough())) {
    if (count == sorted) {
      const size_t next = std::min(limit, std::max<size_t>(first_sorted, sorted * 8));
      std::partial_sort(order_.begin() + sorted, order_.begin() + next, order_.end(), before);
      sorted = next;
    }
    kept += weight(order_[count++]);
  }
  if (keeps_all) return order_[count - 1];
  double left = drawn * kept;
  for (size_t i = 0; i < count; ++i) {
    left -= weight(order_[i]);
    if (left < 0) return order_[i];
  }
  return order_[count - 1];
}

LogProbabilities log_probabilities(std::span<const float> logits, int32_t token, int64_t count) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float x : logits) total += std::exp(x - top);
  const double normalizer = top + std::log(total);
  LogProbabilities result{logits[token] - normalizer, {}};
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t wanted = std::min(order.size(), static_cast<size_t>(count));
  std::partial_sort(order.begin(), order.begin() + wanted, order.end(), [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  for (size_t i = 0; i < wanted; ++i)
    result.top.push_back({order[i], logits[order[i]] - normalizer});
  return result;
}

}  // namespace minke
