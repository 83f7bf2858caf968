#include "kernels/rope.h"

#include "base/threads.h"
#include "kernels/profile.h"
#include "kernels/rows.h"

namespace minke {

void rope(const Tensor& x, const Tensor& positions, const Tensor& cosine, const Tensor& sine,
          bool inverse, RopePairs pairs) {
  const MemoryScope scope("rope", {x, x});
  require(x.rank == 3 && x.shape[2] == 2 * cosine.columns() && positions.size() == x.rows(),
          "rope: x {}, positions {}, cosine {}", x, positions, cosine);
  const int64_t heads = x.shape[1], width = x.shape[2];
  const float sign = inverse ? -1.0f : 1.0f;
  parallel_ranges(x.rows(), rows_per_task(heads * width), [&](int64_t begin, int64_t end) {
    const auto rotate =
        pairs == RopePairs::halves ? row_ops().rotate_halves : row_ops().rotate_pairs;
    RowBuffer buffer(width);
    for (int64_t row = begin; row < end; ++row) {
      const int32_t position = positions.as<int32_t>()[row];
      require(position >= 0 && position < cosine.rows(), "rope: position {} of {}", position,
              cosine.rows());
      Tensor token(x.slice_rows(row, row + 1).data, x.dtype, {heads, width}, x.device);
      token.stride[0] = x.stride[1];
      for (int64_t head = 0; head < heads; ++head) {
        buffer.load(token, head);
        rotate(buffer.target(token, head), cosine.row<float>(position), sine.row<float>(position),
               sign, width / 2);
        buffer.store(token, head);
      }
    }
  });
}

}  // namespace minke
