#pragma once
// Matrix products. A weight W is [out, in] row-major and means y = x·Wᵀ; it is packed once and used
// many times. bf16 operands are multiplied exactly and accumulated in f32; f32 operands in f32. The
// sum over the inner dimension has one fixed order, so a row of the result has the same bits for
// any number of rows, threads, and for the single, the grouped and the batched call. All functions:
// thread-safe on distinct outputs, parallel inside, Error if shapes or dtypes disagree.
//
// Integer packings keep a block format's integers and scales as they are, and round the activations
// instead: each 32 elements of a row become integers a = round(x / s) in [−127, 127] with the scale
// s = max |x| / 127 in f32 (ties to even; below 2^-100 the maximum counts as 0, and if it is not
// finite s is NaN). With the weights' groups in order (32 elements, or 16 in some formats), whose
// element is scale·(q − zero) − min,
//   y ← y + scale·(s·Σ (q − zero)·a)      the sum exact, in int32
//   y ← y − min·(s·Σ a)                   in formats with minima
// every operation on f32 rounded by itself. So these products have the same bits on every
// instruction set, the reference included.

#include <cstdint>
#include <span>

#include "tensor/arena.h"
#include "tensor/block_format.h"

namespace minke {

// How a packed matrix holds its elements: as numbers, or as a block format's integers (4 or 8 bits
// each, or indices of IQ4's table) in groups of 32 with an f16 scale for each group; k formats have
// a scale for 256 elements times a small integer for each group.
enum class Packing : uint8_t {
  f32,
  bf16,
  q4,         // Q4_0
  q4_min,     // Q4_1
  q4_table,   // IQ4_NL
  q8,         // Q8_0, Q5_0
  q8_min,     // Q5_1
  k4_min,     // Q4_K
  k4_table,   // IQ4_XS
  k8_min,     // Q5_K
  k8_16,      // Q6_K, Q3_K: groups of 16
  k8_16_min,  // Q2_K: groups of 16
};

// The packing for products with a weight of that format: `compute` itself for plain numbers and
// FP8, and for blocks of integers one that loses nothing; with compute f32 always f32.
Packing packing_of(BlockFormat format, DType compute);
constexpr bool is_integer(Packing packing) { return packing > Packing::bf16; }
std::string_view packing_name(Packing packing);

// A matrix B [rows, inner] in the kernels' layout, for a·Bᵀ. Does not own its storage. A mapped one
// has no storage: products read the stored matrix, few rows of a by its blocks as they lie (from
// AVX2 on), many by panels that a task packs for its time. That is slower, with the same bits.
struct PackedMatrix {
  int64_t rows = 0;   // columns of the product
  int64_t inner = 0;  // the dimension summed over
  Packing packing = Packing::f32;
  Tensor storage;  // f32 or bf16 as the packing; i32 for integer packings, whose bytes it holds
  StoredMatrix mapped = {};  // of a mapped one: read by every product, so it must stay where it is

  bool is_mapped() const { return mapped.data != nullptr; }
};

// Storage for a packed matrix, to be filled by pack_stored(), pack() or pack_transposed(). The
// inner dimension of integer packings is a multiple of 32, of 256 for k formats.
PackedMatrix allocate_packed(Arena& arena, Packing packing, int64_t rows, int64_t inner);
PackedMatrix allocate_packed(Arena& arena, DType dtype, int64_t rows, int64_t inner);

// Fills `packed` [N, K] from `matrix` [N', K], at rows [row_offset, row_offset + N'). A plain
// packing takes every format (numbers are dequantised, then rounded); an integer packing only those
// that packing_of() names it for.
void pack_stored(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset = 0);

// A mapped matrix, complete without packing.
PackedMatrix map_stored(const StoredMatrix& matrix, Packing packing);

// pack() and pack_transposed() are for plain packings.
// Fills `packed` [N, K] from `weight` [N, K] (f32 or bf16, rows may be strided). Rows of `weight`
// go to rows [row_offset, row_offset + N') of the packed matrix, so several weights can share one.
void pack(const PackedMatrix& packed, const Tensor& weight, int64_t row_offset = 0);

// Fills `packed` [K, N] from the transpose of `weight` [N, K]: for dx = dy·W.
// Weight rows go to inner positions [inner_offset, inner_offset + N').
void pack_transposed(const PackedMatrix& packed, const Tensor& weight, int64_t inner_offset = 0);

// c [M, N] = a [M, K]·Bᵀ (+ c if accumulate). a: f32 or bf16, rounded to the packed dtype where it
// differs; c: f32 or bf16. Rows of a and c may be strided.
void matmul(const Tensor& c, const Tensor& a, const PackedMatrix& b, bool accumulate = false);

// The same for each i: c[i] = a[i]·b[i]ᵀ (+ c[i] if accumulate), as one parallel region. Rows of
// several may differ in number; dtypes, packing and the matrices' sizes may not.
void matmul_batched(std::span<const Tensor> c, std::span<const Tensor> a,
                    std::span<const PackedMatrix> b, bool accumulate = false);

// The rows of a grouped product's operand: a tensor's, as they lie or as an index i32 [M] names
// them. So tokens reach their experts without a copy of them all. View.
struct IndexedRows {
  IndexedRows(const Tensor& all) : tensor(all) {}
  IndexedRows(const Tensor& all, const Tensor& of) : tensor(all), index(of) {}
  int64_t count() const { return index ? index.size() : tensor.rows(); }

  Tensor tensor, index;
};

// For each group g: rows [offsets[g], offsets[g+1]) of c = those rows of a times b[g]ᵀ. One call
// for all experts of a layer; groups may be empty.
void matmul_grouped(const Tensor& c, const IndexedRows& a, std::span<const PackedMatrix> b,
                    std::span<const int64_t> offsets, bool accumulate = false);

// The first half of SwiGLU: gate_up [M, 2·I] = a·Bᵀ for each group as above, and of its columns
// h [M, I] = silu(gate)⊙up, times weights f32 [M] of the rows where they are given, which a task
// computes while it has them in its cache. The bits are those of matmul_grouped() and
// silu_mul_forward().
void matmul_swiglu(const Tensor& gate_up, const Tensor& h, const IndexedRows& a,
                   std::span<const PackedMatrix> b, std::span<const int64_t> offsets,
                   const Tensor& weights = {});

// Row index[r] of c f32 [T, N] += row r of a [M, K] times its group's b[g]ᵀ, groups in order: what
// experts give returns to its tokens without a copy of all rows. index i32 [M] rises inside a
// group.
void matmul_scatter(const Tensor& c, const Tensor& index, const Tensor& a,
                    std::span<const PackedMatrix> b, std::span<const int64_t> offsets);

// Bytes of packed or mapped matrices that the products of this process took, each once a call:
// what a forward pass has to read at least. For measurements.
int64_t packed_bytes_read();

// Weight gradient: dw [N, K] f32 = dyᵀ·x (+ dw if accumulate), dy [M, N], x [M, K] of one dtype,
// which is the dtype of the arithmetic.
void matmul_weight_gradient(const Tensor& dw, const Tensor& dy, const Tensor& x, bool accumulate);

// The same for each group of rows; dw[g] is [N, K]. A group without rows gives zero (or leaves dw
// alone if accumulate).
void matmul_weight_gradient_grouped(std::span<const Tensor> dw, const IndexedRows& dy,
                                    const IndexedRows& x, std::span<const int64_t> offsets,
                                    bool accumulate);

}  // namespace minke
