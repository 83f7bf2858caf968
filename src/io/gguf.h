#pragma once
// GGUF files, GGML's format for models: typed metadata, then tensors in the block formats of
// tensor/block_format.h. Read from a mapping, written tensor by tensor. docs/formats-gguf.md
// describes the format; its source is docs/gguf.md of the ggml project.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "tensor/block_format.h"

namespace minke {

// Types of metadata, with the format's numbers.
enum class GgufType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

std::string_view gguf_type_name(GgufType type);  // "u32", "string"

// A metadata value as its bytes in the file, which were checked. The file owns them.
struct GgufValue {
  GgufType type;  // of an array: its elements', which are no arrays themselves
  bool is_array = false;
  uint64_t count = 1;                // elements of an array
  std::span<const std::byte> bytes;  // the elements, strings with their lengths
};

// A tensor in an open file. The bytes belong to the GgufReader and need not be aligned.
struct GgufTensor {
  std::string name;
  BlockFormat format;
  std::vector<int64_t> shape;  // the last one varies fastest: the file's list reversed
  std::span<const std::byte> data;
  std::string file;  // path, for messages

  int64_t size() const;          // elements
  std::string describe() const;  // "Q4_K [2, 256]"
};

// A GGUF file of version 2 or 3, or all parts of a split one, whichever part is named. Files are
// mapped; tensor data is not read before it is asked for. Throws Error naming file, key or tensor,
// what was found and what was expected. Const members are thread-safe. Movable.
class GgufReader {
 public:
  explicit GgufReader(const fs::path& path);

  const std::string& path() const { return path_; }

  // The metadata; of a split file, the first part's.
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const GgufValue* find_value(std::string_view key) const;  // nullptr: there is none

  // The value of a key, nothing when there is no such key, an Error when it has another type or an
  // integer does not fit. Any integer type is an integer; a number is an integer or a float. The
  // views belong to the reader.
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;

  const std::map<std::string, GgufTensor, std::less<>>& tensors() const { return tensors_; }
  const GgufTensor* find(std::string_view name) const;  // nullptr: there is none

 private:
  void open_part(const fs::path& path, int64_t part, int64_t parts);
  void add(GgufTensor tensor);
  const GgufValue* typed_value(std::string_view key, bool is_array, const char* expected,
                               bool (*accepts)(GgufType)) const;

  std::string path_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::map<std::string, GgufTensor, std::less<>> tensors_;
};

// Metadata to be written, in the order in which it was added; a key comes once.
class GgufMetadata {
 public:
  void add(std::string_view key, uint32_t value);
  void add(std::string_view key, uint64_t value);
  void add(std::string_view key, int32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, bool value);
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
  void add(std::string_view key, std::span<const std::string> values);
  void add(std::string_view key, std::span<const int32_t> values);
  void add(std::string_view key, std::span<const float> values);
  // A value as a reader found it.
  void add(std::string_view key, const GgufValue& value);

  uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }  // as they stand in a file

 private:
  void begin(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType element, uint64_t count);

  std::string bytes_;
  uint64_t count_ = 0;
};

// What a writer will be given, in that order.
struct GgufDeclaration {
  std::string name;
  BlockFormat format;
  std::vector<int64_t> shape;  // the last one varies fastest
};

// Writes one file of version 3, tensor after tensor as they were declared, each in as many pieces
// as the caller likes. Nothing appears before commit(). Not thread-safe. Movable.
class GgufWriter {
 public:
  GgufWriter(const fs::path& path, const GgufMetadata& metadata,
             std::vector<GgufDeclaration> tensors);

  // The next bytes of `name`, which must be the tensor whose turn it is.
  void write(std::string_view name, const void* data, int64_t bytes);
  // All declared bytes must have been written.
  void commit();

 private:
  void pad();

  AtomicFile file_;
  std::vector<GgufDeclaration> tensors_;
  size_t current_ = 0;         // index of the tensor whose turn it is
  int64_t current_bytes_ = 0;  // written of it
};

}  // namespace minke
