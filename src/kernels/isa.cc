#include "kernels/isa.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "kernels/cpu/features.h"

namespace minke {
namespace {

constexpr std::array<std::string_view, 6> names = {"reference", "portable",    "avx2",
                                                   "avx512",    "avx512_bf16", "amx"};

std::vector<Isa> detect() {
  const cpu::Features& f = cpu::features();
  std::vector<Isa> found = {Isa::reference, Isa::portable};
  if (f.avx2) found.push_back(Isa::avx2);
  if (f.avx512) found.push_back(Isa::avx512);
  if (f.avx512_bf16) found.push_back(Isa::avx512_bf16);
  if (f.amx) found.push_back(Isa::amx);
  return found;
}

bool is_supported(Isa isa) {
  const auto& all = supported_isas();
  return std::find(all.begin(), all.end(), isa) != all.end();
}

std::string supported_names() {
  std::string text;
  for (const Isa isa : supported_isas())
    text += (text.empty() ? "" : ", ") + std::string(isa_name(isa));
  return text;
}

Isa initial_isa() {
  const char* wanted = std::getenv("MINKE_ISA");
  if (wanted == nullptr || *wanted == '\0') return supported_isas().back();
  const auto name = std::find(names.begin(), names.end(), std::string_view(wanted));
  if (name == names.end())
    fail_usage("MINKE_ISA={} is not known; this CPU has: {}", wanted, supported_names());
  const Isa isa = static_cast<Isa>(name - names.begin());
  if (!is_supported(isa))
    fail_usage("MINKE_ISA={} cannot run here; this CPU has: {}", wanted, supported_names());
  return isa;
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa = initial_isa();
  return isa;
}

}  // namespace

std::string_view isa_name(Isa isa) { return names[static_cast<size_t>(isa)]; }

const std::vector<Isa>& supported_isas() {
  static const std::vector<Isa> instance = detect();
  return instance;
}

Isa active_isa() { return current().load(std::memory_order_relaxed); }

void set_active_isa(Isa isa) {
  require(is_supported(isa), "{} cannot run on this CPU", isa_name(isa));
  current().store(isa, std::memory_order_relaxed);
}

}  // namespace minke
