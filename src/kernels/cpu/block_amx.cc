#if defined(__x86_64__)
// The bf16 product by AMX's TDPBF16PS.
#include "kernels/cpu/tile_configuration.h"
#include "kernels/cpu/tiles.h"

namespace minke::cpu {
namespace {

// In assembly, because GCC 12's intrinsics take no template parameter as a tile's number.
struct Amx {
  template <int number>
  struct Tile {
    static void zero() { __asm__ volatile("tilezero %%tmm%c0" ::"i"(number)); }
    static void load(const char* p, int64_t row) {
      __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(row), "i"(number) : "memory");
    }
    static void store(char* p, int64_t row) {
      __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(row), "i"(number) : "memory");
    }
  };
  template <int number>
  static Tile<number> tile() {
    return {};
  }
  template <int c, int a, int b>
  static void dot() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }

  // Tiles of c and a with their numbers of rows, 0 for those that are not used.
  static void configure(int top, int bottom) {
    TileConfiguration configuration;
    const int rows[8] = {top, top, bottom, bottom, top, bottom, 16, 16};
    for (int i = 0; i < 8; ++i) {
      configuration.rows[i] = static_cast<uint8_t>(rows[i]);
      configuration.row_bytes[i] = rows[i] ? 64 : 0;
    }
    _tile_loadconfig(&configuration);
  }
  static void release() { _tile_release(); }
};

}  // namespace

void multiply_amx(const Product& product) { multiply_with_tiles<Amx>(product); }

}  // namespace minke::cpu
#endif
