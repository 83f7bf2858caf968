#pragma once
// The layout that AMX's LDTILECFG reads.

#include <cstdint>

namespace minke::cpu {

struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

}  // namespace minke::cpu
