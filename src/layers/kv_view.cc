#include "layers/kv_view.h"

#include <cstring>

#include "base/threads.h"

namespace minke {
namespace {

// Calls run(position, pool_row, count) for stretches of positions whose rows lie one after the
// other.
template <typename Run>
void for_each_page(std::span<const int32_t> pages, int64_t begin, int64_t end, Run&& run) {
  while (begin < end) {
    const int64_t inside = begin % page_tokens;
    const int64_t count = std::min(end - begin, page_tokens - inside);
    run(begin, pages[begin / page_tokens] * page_tokens + inside, count);
    begin += count;
  }
}

std::byte* row_address(const Tensor& t, int64_t row) {
  return t.data + row * t.row_stride() * dtype_bytes(t.dtype);
}

void copy_rows(const Tensor& to, int64_t to_row, const Tensor& from, int64_t from_row,
               int64_t count) {
  const size_t bytes = static_cast<size_t>(from.columns() * dtype_bytes(from.dtype));
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(row_address(to, to_row + i), row_address(from, from_row + i), bytes);
}

void check_rows(const Tensor& pool, const Tensor& rows) {
  require(pool.dtype == rows.dtype && pool.columns() == rows.columns(), "rows {} of pages {}", rows,
          pool);
}

void check_pages(const Tensor& pool, const BatchSegment& segment) {
  require(segment.keys() <= static_cast<int64_t>(segment.pages.size()) * page_tokens,
          "{} tokens in {} pages", segment.keys(), segment.pages.size());
  for (const int32_t page : segment.pages)
    require(page >= 0 && (page + 1) * page_tokens <= pool.rows(), "page {} of {}", page,
            pool.rows() / page_tokens);
}

}  // namespace

int64_t Batch::absorbed_rows() const {
  int64_t rows = 0;
  for (const BatchSegment& segment : segments)
    if (segment.form == AttentionForm::absorbed) rows = segment.row_end;
  return rows;
}

void store_rows(const Tensor& pool, const Tensor& rows, const Batch& batch) {
  check_rows(pool, rows);
  for (const BatchSegment& segment : batch.segments) {
    check_pages(pool, segment);
    for_each_page(segment.pages, segment.past, segment.keys(),
                  [&](int64_t position, int64_t row, int64_t count) {
                    copy_rows(pool, row, rows, segment.row_begin + position - segment.past, count);
                  });
  }
}

void gather_pages(const Tensor& rows, const Tensor& pool, const BatchSegment& segment) {
  check_rows(pool, rows);
  check_pages(pool, segment);
  require(rows.rows() == segment.keys(), "{} for {} keys", rows, segment.keys());
  parallel_ranges(segment.keys(), page_tokens, [&](int64_t begin, int64_t end) {
    for_each_page(segment.pages, begin, end, [&](int64_t position, int64_t row, int64_t count) {
      copy_rows(rows, position, pool, row, count);
    });
  });
}

AttentionSequence attention_sequence(const BatchSegment& segment) {
  return {segment.row_begin, segment.row_end, 0, segment.keys(), segment.pages.data()};
}

}  // namespace minke
