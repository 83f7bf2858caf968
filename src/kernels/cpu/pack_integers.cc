#include <algorithm>
#include <array>
#include <cstring>

#include "base/threads.h"
#include "kernels/block_codes.h"
#include "kernels/cpu/block.h"
#include "kernels/cpu/integers.h"
#include "kernels/cpu/panels.h"
#include "kernels/ref/integers.h"

namespace minke::cpu {
namespace {

constexpr int stored_rows_slot = 15;  // of scratch memory

// Sixteen rows of a chunk, each with its codes as the packing joins them: byte 4·word + i of a row
// is what element i of that word gets.
using Stage = std::array<std::array<uint8_t, integer_chunk + 64>, panel_width>;

// 64 codes of Q4_K, the first 32 in the low halves of the bytes, as two groups of 16 bytes whose
// low halves are a group's first 16 codes.
void join_q4_k(const uint8_t* in, uint8_t* out) {
  std::array<uint8_t, 16> low, high, first, second;
  std::memcpy(low.data(), in, 16);
  std::memcpy(high.data(), in + 16, 16);
  for (size_t i = 0; i < 16; ++i) {
    first[i] = static_cast<uint8_t>((low[i] & 0x0f) | high[i] << 4);
    second[i] = static_cast<uint8_t>(low[i] >> 4 | (high[i] & 0xf0));
  }
  std::memcpy(out, first.data(), 16);
  std::memcpy(out + 16, second.data(), 16);
}

// The codes of one block.
void stage_codes(BlockFormat format, const std::byte* in, int shift, uint8_t* out) {
  switch (format) {
    case BlockFormat::iq4_xs:
      std::memcpy(out, in + 8, 128);
      return;
    case BlockFormat::q4_k:
      for (int i = 0; i < 4; ++i)
        join_q4_k(reinterpret_cast<const uint8_t*>(in) + 16 + 32 * i, out + 32 * i);
      return;
    default:
      read_codes(format, in, out);
      const int64_t count = block_elements(format);
      for (int64_t i = 0; shift != 0 && i < count; ++i)
        out[i] = static_cast<uint8_t>(out[i] + shift);
  }
}

// Of the commonest formats: blocks of 32 codes that lie in the file as the packing wants them, or
// all but, behind an f16 scale and maybe a minimum. A large model has hundreds of millions of them.
template <BlockFormat format>
struct PlainBlock {
  static constexpr bool has_min = format == BlockFormat::q4_1;
  static constexpr int64_t code_bytes = format == BlockFormat::q8_0 ? 32 : 16;
  static constexpr int64_t codes_at = has_min ? 4 : 2;

  // One row's blocks of a chunk. scales: of this row, those of two blocks are 16 halves apart.
  static void read(const char* in, int64_t blocks, uint8_t* codes, char* scales, char* mins) {
    for (int64_t b = 0; b < blocks; ++b, in += codes_at + code_bytes, codes += code_bytes) {
      std::memcpy(codes, in + codes_at, code_bytes);
      if constexpr (format == BlockFormat::q8_0)  // signed in the file
        for (int64_t i = 0; i < code_bytes; ++i) codes[i] ^= 0x80;
      std::memcpy(scales + b * 2 * panel_width, in, 2);
      if constexpr (has_min) {  // stored as what is added
        uint16_t min;
        std::memcpy(&min, in + 2, 2);
        min ^= 0x8000;
        std::memcpy(mins + b * 2 * panel_width, &min, 2);
      }
    }
  }
};

using ReadPlainBlocks = void (*)(const char*, int64_t, uint8_t*, char*, char*);

ReadPlainBlocks plain_blocks(BlockFormat format) {
  switch (format) {
    case BlockFormat::q4_0:
    case BlockFormat::iq4_nl:
      return PlainBlock<BlockFormat::q4_0>::read;
    case BlockFormat::q4_1:
      return PlainBlock<BlockFormat::q4_1>::read;
    case BlockFormat::q8_0:
      return PlainBlock<BlockFormat::q8_0>::read;
    default:
      return nullptr;
  }
}

// Packs panels of one matrix; one object for each task.
class PanelPacker {
 public:
  PanelPacker(const PackedMatrix& packed, const StoredMatrix& matrix)
      : k_(kernels()),
        matrix_(matrix),
        scheme_(integer_scheme(packed.packing)),
        from_(block_scheme(matrix.format)),
        plain_(plain_blocks(matrix.format)),
        elements_(block_elements(matrix.format)),
        bytes_(block_bytes(matrix.format)),
        rows_(scratch(stored_rows_slot, panel_width * matrix.row_bytes())) {}

  // Rows [begin, end), at most 16, to the panel at `out`.
  void pack(int64_t begin, int64_t end, char* out) {
    // Sixteen rows side by side are more streams than the hardware reads ahead.
    const int64_t row_bytes = matrix_.row_bytes();
    for (int64_t r = begin; r < end; ++r)
      std::memcpy(rows_ + (r - begin) * row_bytes, matrix_.row(r), row_bytes);
    for (int64_t k = 0; k < matrix_.columns; k += integer_chunk) {
      const int64_t count = std::min(integer_chunk, matrix_.columns - k);
      const ChunkLayout at = chunk_layout(scheme_, count / integer_group);
      for (int64_t r = begin; r < end; ++r) {
        read(rows_ + (r - begin) * row_bytes + k / elements_ * bytes_, count, r - begin, at, out);
      }
      k_.transpose(out, 64, reinterpret_cast<const char*>(stage_[0].data()), sizeof(stage_[0]),
                   end - begin, count * scheme_.bits / 32);
      out += at.bytes;
    }
  }

 private:
  // A row's blocks of a chunk with `count` elements: codes to the stage, levels to column `column`.
  void read(const char* in, int64_t count, int64_t column, const ChunkLayout& at, char* out) {
    if (plain_)
      return plain_(in, count / elements_, stage_[column].data(), out + at.scales + 2 * column,
                    out + at.mins + 2 * column);
    const std::byte* block = reinterpret_cast<const std::byte*>(in);
    for (int64_t first = 0; first < count; first += elements_, block += bytes_)
      read_block(block, first, column, at, out);
  }

  void read_block(const std::byte* block, int64_t first, int64_t column, const ChunkLayout& at,
                  char* out) {
    const int shift = from_.table ? 0 : scheme_.zero - from_.zero;
    stage_codes(matrix_.format, block, shift, stage_[column].data() + first * scheme_.bits / 8);
    read_levels(matrix_.format, block, codes_);
    const int64_t half =
        ((from_.two_levels ? 0 : first / integer_group) * panel_width + column) * 2;
    std::memcpy(out + at.scales + half, &codes_.scale, 2);
    if (from_.mins) std::memcpy(out + at.mins + half, &codes_.min, 2);
    for (int64_t g = 0; from_.two_levels && g < elements_ / from_.group; ++g) {
      out[at.scale_codes + g * panel_width + column] = static_cast<char>(codes_.scale_code[g]);
      if (from_.mins)
        out[at.min_codes + g * panel_width + column] = static_cast<char>(codes_.min_code[g]);
    }
  }

  const Kernels& k_;
  const StoredMatrix& matrix_;
  IntegerScheme scheme_;
  BlockScheme from_;
  ReadPlainBlocks plain_;
  int64_t elements_, bytes_;
  char* rows_;  // of a panel, as they are stored
  BlockCodes codes_{};
  alignas(64) Stage stage_{};
};

// Rows that `matrix` has from `begin` on.
StoredMatrix stored_rows(const StoredMatrix& matrix, int64_t begin, int64_t end) {
  StoredMatrix part = matrix;
  part.rows = end - begin;
  if (part.row_order)
    part.row_order += begin;
  else
    part.data += begin * matrix.row_bytes();
  return part;
}

}  // namespace

void pack_mapped_panels(const PackedMatrix& mapped, int64_t begin, int64_t end, char* out) {
  const int64_t panel = panel_bytes(integer_scheme(mapped.packing), mapped.inner);
  PanelPacker packer(mapped, mapped.mapped);
  for (int64_t r = begin; r < end; r += panel_width, out += panel)
    packer.pack(r, std::min(r + panel_width, end), out);
}

void pack_integers(const PackedMatrix& packed, const StoredMatrix& matrix, int64_t row_offset) {
  constexpr int64_t rows_per_task = 4 * panel_width;
  const int64_t panel = panel_bytes(integer_scheme(packed.packing), packed.inner);
  char* panels = reinterpret_cast<char*>(packed.storage.data);
  parallel_ranges(matrix.rows, rows_per_task, [&](int64_t begin, int64_t end) {
    // Panels that other rows share are filled row by row.
    if (row_offset % panel_width != 0)
      return ref::pack_integers(packed, stored_rows(matrix, begin, end), row_offset + begin);
    PanelPacker packer(packed, matrix);
    for (int64_t r = begin; r < end; r += panel_width)
      packer.pack(r, std::min(r + panel_width, end),
                  panels + (row_offset + r) / panel_width * panel);
  });
}

}  // namespace minke::cpu
