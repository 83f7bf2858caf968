#pragma once
// What a file for one instruction set provides for integer packings (kernels/packed.h), on plain
// pointers. All have the bits of ref/integers.cc. integers.cc cuts products into these.

#include <cstdint>

#include "kernels/cpu/matmul.h"
#include "kernels/packed.h"
#include "tensor/tensor.h"

namespace minke::cpu {

// Rows of activations as kernels/matmul.h rounds them. A part is what shares a scale of the
// weights: 32 elements or 16.
struct RoundedRows {
  int8_t* value;   // [rows, inner]
  float* scale;    // [rows, inner / 32]
  int32_t* start;  // [rows, parts]: −zero·Σ a, where the sum of products of codes starts
  float* sum;      // [rows, parts]: scale·Σ a, for the minima
  int64_t inner, groups, parts;  // elements from one row to the next
};

// c [rows, 16·panels] = a·Bᵀ, or c + a·Bᵀ if `load`, over `groups` groups of 32.
struct PackedProduct {
  int64_t rows, panels, groups;
  RoundedRows a;
  const char* b;    // packed panels
  int64_t b_panel;  // bytes
  float* c;
  int64_t c_row;  // elements
  bool load;
};

// Fewer rows than would pay for packing a weight first.
constexpr int64_t few_rows = 16;

// c [rows, 16] += a·Bᵀ with sixteen rows of a weight as a file has them, for up to few_rows rows.
struct StoredProduct {
  int64_t rows, groups;
  RoundedRows a;
  const char* row[16];
  int64_t block_bytes;
  const char* next;  // memory that is wanted next
  float* c;
  int64_t c_row;  // elements
};

struct IntegerKernels {
  // Rounds one row of f32 or bf16 for a packing.
  void (*round_row)(const RoundedRows& out, const char* in, DType dtype, int zero);
  // By Packing, those before the first integer packing left out.
  void (*multiply[10])(const PackedProduct& product);
};

struct StoredKernels {
  // By BlockFormat, those before the first format of integers left out.
  void (*multiply[12])(const StoredProduct& product);
};

extern const IntegerKernels portable_integers;
#if defined(__x86_64__)
extern const IntegerKernels avx2_integers, avx512_integers, vnni_integers;
extern const StoredKernels avx2_stored;
#endif

// Arguments are checked by the caller.
void pack_integers(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset);

// The panels of a mapped matrix's rows [begin, end), begin a multiple of 16; by the calling thread.
void pack_mapped_panels(const PackedMatrix& mapped, int64_t begin, int64_t end, char* out);

// Products of checked arguments, all of one packing; as those of cpu/matmul.h.
void matmul_integers(const Products& products);
void scatter_integers(const Tensor& c, const int32_t* index, const Tensor& a,
                      std::span<const PackedMatrix> b, std::span<const int64_t> offsets);

}  // namespace minke::cpu
