#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/peak_loops.h"
#include "kernels/cpu/tile_configuration.h"

namespace minke::cpu {
namespace {

constexpr int accumulators = 6;
constexpr double bf16_products = 16 * 16 * 32, int8_products = 16 * 16 * 64;  // of one instruction

void configure() {
  TileConfiguration configuration;
  for (int i = 0; i < 8; ++i) {
    configuration.rows[i] = 16;
    configuration.row_bytes[i] = 64;
  }
  _tile_loadconfig(&configuration);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

void run_bf16(int64_t times) {
  configure();
  for (int64_t i = 0; i < times; ++i) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_release();
}

void run_int8(int64_t times) {
  configure();
  for (int64_t i = 0; i < times; ++i) {
    _tile_dpbssd(0, 6, 7);
    _tile_dpbssd(1, 6, 7);
    _tile_dpbssd(2, 6, 7);
    _tile_dpbssd(3, 6, 7);
    _tile_dpbssd(4, 6, 7);
    _tile_dpbssd(5, 6, 7);
  }
  _tile_release();
}

}  // namespace

extern const PeakUnit peak_bf16_amx = {"bf16", "amx", accumulators* bf16_products * 2, run_bf16};
extern const PeakUnit peak_int8_amx = {"int8", "amx", accumulators* int8_products * 2, run_int8};

}  // namespace minke::cpu
#endif
