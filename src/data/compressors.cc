#include "data/compressors.h"

#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"

namespace minke {

int64_t xz_bytes(std::string_view text) {
  lzma_options_lzma options;
  require(!lzma_lzma_preset(&options, 9), "liblzma has no preset 9");
  // A dictionary larger than the text changes nothing but the memory.
  const uint64_t enough = std::bit_ceil(std::max<uint64_t>(text.size(), LZMA_DICT_SIZE_MIN));
  options.dict_size = static_cast<uint32_t>(std::min<uint64_t>(options.dict_size, enough));
  const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  lzma_stream stream = LZMA_STREAM_INIT;
  require(lzma_stream_encoder(&stream, filters, LZMA_CHECK_CRC64) == LZMA_OK,
          "liblzma could not begin");
  stream.next_in = reinterpret_cast<const uint8_t*>(text.data());
  stream.avail_in = text.size();
  std::array<uint8_t, 1 << 16> out;
  lzma_ret state = LZMA_OK;
  while (state == LZMA_OK) {
    stream.next_out = out.data();
    stream.avail_out = out.size();
    state = lzma_code(&stream, LZMA_FINISH);
  }
  const int64_t bytes = static_cast<int64_t>(stream.total_out);
  lzma_end(&stream);
  require(state == LZMA_STREAM_END, "liblzma stopped with code {}", static_cast<int>(state));
  return bytes;
}

int64_t gzip_bytes(std::string_view text) {
  constexpr int with_gzip_header = 16 + MAX_WBITS, default_memory = 8;
  z_stream stream{};
  require(deflateInit2(&stream, 9, Z_DEFLATED, with_gzip_header, default_memory,
                       Z_DEFAULT_STRATEGY) == Z_OK,
          "zlib could not begin");
  std::array<uint8_t, 1 << 16> out;
  int state = Z_OK;
  while (state == Z_OK) {
    if (stream.avail_in == 0) {
      constexpr size_t most = 1 << 30;  // zlib counts in 32 bits
      const size_t count = std::min(text.size(), most);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
      stream.avail_in = static_cast<uInt>(count);
      text.remove_prefix(count);
    }
    stream.next_out = out.data();
    stream.avail_out = out.size();
    state = deflate(&stream, text.empty() ? Z_FINISH : Z_NO_FLUSH);
  }
  const int64_t bytes = static_cast<int64_t>(stream.total_out);
  deflateEnd(&stream);
  require(state == Z_STREAM_END, "zlib stopped with code {}", state);
  return bytes;
}

}  // namespace minke
