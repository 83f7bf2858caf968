#include "bench/report_line.h"

#include <fmt/format.h>

#include "base/machine.h"
#include "base/threads.h"
#include "kernels/isa.h"

namespace minke {

nlohmann::ordered_json begin_report(const std::string& model) {
  return {{"cpu", machine().cpu_name},
          {"threads", thread_count()},
          {"isa", isa_name(active_isa())},
          {"model", model}};
}

void print_report(const nlohmann::ordered_json& line, bool json) {
  if (json) {
    fmt::print("{}\n", line.dump());
    return;
  }
  for (const auto& [key, value] : line.items()) fmt::print("{:28} {}\n", key, value.dump());
}

}  // namespace minke
