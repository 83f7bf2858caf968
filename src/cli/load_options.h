#pragma once
// The --compute and --memory options of the commands that load a model.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace minke {

inline void add_compute_option(CLI::App& command, std::string& value) {
  command.add_option("--compute", value, "f32 or bf16 (default: what the files hold)")
      ->check(CLI::IsMember({"f32", "bf16"}));
}

// Given in GiB, kept in bytes.
inline void add_memory_option(CLI::App& command, int64_t& bytes) {
  command
      .add_option_function<double>(
          "--memory",
          [&bytes](double gibibytes) { bytes = static_cast<int64_t>(gibibytes * 0x1p30); },
          "GiB that models may take (default: what the machine grants)")
      ->check(CLI::Range(0.001, 1e6));
}

inline std::optional<DType> parse_compute(const std::string& value) {
  if (value.empty()) return std::nullopt;
  return value == "f32" ? DType::f32 : DType::bf16;
}

}  // namespace minke
