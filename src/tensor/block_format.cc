#include "tensor/block_format.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "base/error.h"

namespace minke {
namespace {

struct Layout {
  std::string_view name;
  int64_t elements, bytes;
};

constexpr std::array<Layout, block_format_count> layouts = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"F8_E4M3", 1, 1},
    {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},
    {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},
    {"Q8_0", 32, 34},
    {"Q2_K", 256, 84},
    {"Q3_K", 256, 110},
    {"Q4_K", 256, 144},
    {"Q5_K", 256, 176},
    {"Q6_K", 256, 210},
    {"IQ4_NL", 32, 18},
    {"IQ4_XS", 256, 136},
}};

const Layout& layout_of(BlockFormat format) { return layouts[static_cast<size_t>(format)]; }

}  // namespace

int64_t block_elements(BlockFormat format) { return layout_of(format).elements; }
int64_t block_bytes(BlockFormat format) { return layout_of(format).bytes; }
std::string_view block_format_name(BlockFormat format) { return layout_of(format).name; }

std::optional<BlockFormat> find_block_format(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (size_t i = 0; i < layouts.size(); ++i)
    if (layouts[i].name == upper) return static_cast<BlockFormat>(i);
  return std::nullopt;
}

int64_t block_format_bytes(BlockFormat format, int64_t elements) {
  const Layout& layout = layout_of(format);
  require(elements % layout.elements == 0, "{} elements are no whole blocks of {}", elements,
          layout.name);
  return elements / layout.elements * layout.bytes;
}

StoredMatrix StoredMatrix::slice_rows(int64_t begin, int64_t end) const {
  require(0 <= begin && begin <= end && end <= rows, "rows {} to {} of {}", begin, end, rows);
  StoredMatrix slice = *this;
  slice.rows = end - begin;
  if (row_order)
    slice.row_order = row_order + begin;
  else
    slice.data = data + begin * row_bytes();
  if (scales) {
    require(begin % f8_scale_block == 0 && !row_order, "rows from {} of a matrix with f8 scales",
            begin);
    const int64_t across = (columns + f8_scale_block - 1) / f8_scale_block;
    slice.scales = scales + begin / f8_scale_block * across * sizeof(float);
  }
  return slice;
}

}  // namespace minke
