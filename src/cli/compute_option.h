#pragma once
// The --compute option of the commands that load a model.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace minke {

inline void add_compute_option(CLI::App& command, std::string& value) {
  command.add_option("--compute", value, "f32 or bf16 (default: what the files hold)")
      ->check(CLI::IsMember({"f32", "bf16"}));
}

inline std::optional<DType> parse_compute(const std::string& value) {
  if (value.empty()) return std::nullopt;
  return value == "f32" ? DType::f32 : DType::bf16;
}

}  // namespace minke
