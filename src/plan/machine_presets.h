#pragma once
// machines/*.toml as they were when the program was built; CMakeLists.txt makes the list.

#include <span>

namespace minke {

struct MachinePreset {
  const char* name;
  const char* toml;
};

std::span<const MachinePreset> machine_presets();

}  // namespace minke
