#include <cstring>

#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_format.h"

namespace minke {
namespace {

constexpr auto alignment = static_cast<int64_t>(gguf_default_alignment);

template <typename T>
void append(std::string& bytes, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

void append_string(std::string& bytes, std::string_view text) {
  append(bytes, uint64_t{text.size()});
  bytes.append(text);
}

int64_t bytes_of(const GgufDeclaration& tensor) {
  int64_t elements = 1;
  for (const int64_t extent : tensor.shape) elements *= extent;
  return block_format_bytes(tensor.format, elements);
}

int64_t aligned(int64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

void append_declaration(std::string& head, const GgufDeclaration& tensor, int64_t offset) {
  const auto type = ggml_type_of(tensor.format);
  if (!type)
    fail("tensor '{}' is {}, which GGUF files do not have; convert it first", tensor.name,
         block_format_name(tensor.format));
  require(!tensor.shape.empty() && tensor.shape.size() <= gguf_max_rank &&
              tensor.shape.back() % block_elements(tensor.format) == 0,
          "tensor '{}' cannot be {} [{}]", tensor.name, block_format_name(tensor.format),
          fmt::join(tensor.shape, ", "));
  append_string(head, tensor.name);
  append(head, static_cast<uint32_t>(tensor.shape.size()));
  for (size_t i = tensor.shape.size(); i-- > 0;) append(head, tensor.shape[i]);
  append(head, *type);
  append(head, offset);
}

std::string make_head(const GgufMetadata& metadata, std::span<const GgufDeclaration> tensors) {
  std::string head(gguf_magic);
  append(head, gguf_version);
  append(head, uint64_t{tensors.size()});
  append(head, metadata.count());
  head += metadata.bytes();
  int64_t offset = 0;
  for (const GgufDeclaration& tensor : tensors) {
    append_declaration(head, tensor, offset);
    offset += aligned(bytes_of(tensor));
  }
  return head;
}

}  // namespace

void GgufMetadata::begin(std::string_view key, GgufType type) {
  append_string(bytes_, key);
  append(bytes_, type);
  ++count_;
}

void GgufMetadata::begin_array(std::string_view key, GgufType element, uint64_t count) {
  begin(key, GgufType::array);
  append(bytes_, element);
  append(bytes_, count);
}

void GgufMetadata::add(std::string_view key, uint32_t value) {
  begin(key, GgufType::u32);
  append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, uint64_t value) {
  begin(key, GgufType::u64);
  append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, int32_t value) {
  begin(key, GgufType::i32);
  append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, float value) {
  begin(key, GgufType::f32);
  append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, bool value) {
  begin(key, GgufType::boolean);
  append(bytes_, static_cast<uint8_t>(value));
}

void GgufMetadata::add(std::string_view key, std::string_view value) {
  begin(key, GgufType::string);
  append_string(bytes_, value);
}

void GgufMetadata::add(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::string, values.size());
  for (const std::string& value : values) append_string(bytes_, value);
}

void GgufMetadata::add(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufType::i32, values.size());
  for (const int32_t value : values) append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::f32, values.size());
  for (const float value : values) append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, const GgufValue& value) {
  if (value.is_array)
    begin_array(key, value.type, value.count);
  else
    begin(key, value.type);
  bytes_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

GgufWriter::GgufWriter(const fs::path& path, const GgufMetadata& metadata,
                       std::vector<GgufDeclaration> tensors)
    : file_(path), tensors_(std::move(tensors)) {
  file_.write(make_head(metadata, tensors_));
  pad();
}

void GgufWriter::pad() {
  const int64_t at = file_.bytes_written();
  file_.write(std::string(static_cast<size_t>(aligned(at) - at), '\0'));
}

void GgufWriter::write(std::string_view name, const void* data, int64_t bytes) {
  require(current_ < tensors_.size() && tensors_[current_].name == name,
          "tensor '{}' was written out of turn", name);
  const int64_t all = bytes_of(tensors_[current_]);
  require(bytes >= 0 && bytes <= all - current_bytes_, "tensor '{}' is larger than declared", name);
  file_.write(data, static_cast<size_t>(bytes));
  current_bytes_ += bytes;
  if (current_bytes_ < all) return;
  pad();
  ++current_;
  current_bytes_ = 0;
}

void GgufWriter::commit() {
  require(current_ == tensors_.size(), "tensor '{}' was not written",
          current_ < tensors_.size() ? tensors_[current_].name : "");
  file_.commit();
}

}  // namespace minke
