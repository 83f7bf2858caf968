#include "data/shard.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "text/hash.h"

namespace minke {
namespace {

constexpr std::string_view magic = "MINKETOK";
constexpr uint32_t format_version = 1;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t token_width;
  uint64_t tokens;
  uint64_t checksum;  // hash_bytes of everything behind the header
  uint8_t reserved[32];
};
static_assert(sizeof(Header) == 64);

Header make_header(std::string_view payload, int32_t token_width) {
  Header header{};
  std::copy(magic.begin(), magic.end(), header.magic);
  header.version = format_version;
  header.token_width = static_cast<uint32_t>(token_width);
  header.tokens = payload.size() / static_cast<uint64_t>(token_width);
  header.checksum = hash_bytes(payload);
  return header;
}

}  // namespace

ShardWriter::ShardWriter(fs::path folder, std::string prefix, int32_t token_width,
                         int64_t shard_tokens)
    : folder_(std::move(folder)),
      prefix_(std::move(prefix)),
      token_width_(token_width),
      shard_tokens_(shard_tokens) {}

void ShardWriter::add(std::span<const int32_t> document, int64_t text_bytes) {
  while (!document.empty()) {
    const auto room = static_cast<size_t>(shard_tokens_ - current_.tokens);
    const auto part = document.subspan(0, std::min(room, document.size()));
    append(part);
    document = document.subspan(part.size());
    if (document.empty()) ++current_.documents;
    if (current_.tokens == shard_tokens_) write_shard();
  }
  ++split_.documents;
  split_.text_bytes += text_bytes;
}

void ShardWriter::append(std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) {
    char bytes[4];
    std::memcpy(bytes, &token, 4);  // little-endian: the low bytes come first
    payload_.append(bytes, static_cast<size_t>(token_width_));
  }
  current_.tokens += static_cast<int64_t>(tokens.size());
}

void ShardWriter::write_shard() {
  current_.file = fmt::format("{}-{:05}.bin", prefix_, split_.shards.size());
  const Header header = make_header(payload_, token_width_);
  AtomicFile file(folder_ / current_.file);
  file.write(&header, sizeof header);
  file.write(payload_);
  file.commit();
  current_.sha256 = sha256_file(folder_ / current_.file);
  split_.tokens += current_.tokens;
  split_.shards.push_back(std::exchange(current_, {}));
  payload_.clear();
}

SplitEntry ShardWriter::finish() {
  if (current_.tokens > 0) write_shard();
  return std::move(split_);
}

Shard::Shard(const fs::path& path, int64_t tokens, int32_t token_width, bool verify)
    : file_(path), tokens_(tokens), token_width_(token_width) {
  constexpr int64_t most_tokens = int64_t{1} << 60;  // whose bytes can be counted
  if (tokens < 0 || tokens > most_tokens)
    fail("{}: index.json gives it {} tokens; prepare the data again", path.string(), tokens);
  const auto bytes = file_.bytes();
  const auto expected = static_cast<int64_t>(sizeof(Header)) + tokens * token_width;
  if (static_cast<int64_t>(bytes.size()) != expected)
    fail(
        "{} has {} bytes, but {} tokens of {} bytes take {}: it is cut short or not the file that "
        "index.json means; prepare the data again",
        path.string(), bytes.size(), tokens, token_width, expected);
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::string_view(header.magic, sizeof header.magic) != magic ||
      header.version != format_version ||
      header.token_width != static_cast<uint32_t>(token_width) ||
      header.tokens != static_cast<uint64_t>(tokens))
    fail(
        "{} does not begin as a shard of version {} with {} tokens of {} bytes; prepare the data "
        "again",
        path.string(), format_version, tokens, token_width);
  const auto* payload = reinterpret_cast<const char*>(bytes.data()) + sizeof header;
  if (verify && hash_bytes({payload, bytes.size() - sizeof header}) != header.checksum)
    fail("{} is damaged: its checksum is wrong; prepare the data again", path.string());
}

void Shard::read(int64_t first, int64_t count, int32_t* out) const {
  require(first >= 0 && count >= 0 && first + count <= tokens_, "tokens {}+{} of a shard of {}",
          first, count, tokens_);
  const std::byte* from = file_.bytes().data() + sizeof(Header) + first * token_width_;
  for (int64_t i = 0; i < count; ++i, from += token_width_) {
    uint32_t token = 0;
    std::memcpy(&token, from, static_cast<size_t>(token_width_));
    out[i] = static_cast<int32_t>(token);
  }
}

}  // namespace minke
