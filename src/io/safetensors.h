#pragma once
// io/: model files. Reads and writes safetensors, whole folders of it, GGUF files (gguf.h) and
// checksum manifests. What comes from a file is checked before it is used: sizes, offsets, names.
// May include tensor/, config/ and base/.
//
// docs/formats-model.md describes the format.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace minke {

// An element type in a file; a wider list than DType, which is what Minke computes with.
enum class FileDType : uint8_t { f64, f32, f16, bf16, f8_e4m3, i64, i32, i16, i8, u8, boolean };

int64_t file_dtype_bytes(FileDType dtype);
std::string_view file_dtype_name(FileDType dtype);  // "F32", as in the header

// A tensor in an open file. The bytes belong to the SafetensorsReader and need not be aligned.
struct StoredTensor {
  std::string name;
  FileDType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
  std::string file;  // path, for messages

  int64_t size() const;          // elements
  std::string describe() const;  // "BF16 [2, 3]"
};

// The tensors of one .safetensors file, or of a folder with model.safetensors or
// model.safetensors.index.json. Files are mapped; nothing is read before it is asked for. Throws
// Error naming file, tensor, what was found and what was expected. Const members are thread-safe.
// Movable.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const fs::path& path);

  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }
  // nullptr when there is no such tensor.
  const StoredTensor* find(std::string_view name) const;
  // The tensor; an Error when it is missing or has another shape.
  const StoredTensor& get(std::string_view name, std::span<const int64_t> shape) const;

  // Copies F32, BF16 or F16 elements to `out` as floats; another dtype is an Error.
  void copy_as_f32(const StoredTensor& tensor, float* out) const;
  void copy_as_f32(std::string_view name, std::span<const int64_t> shape, float* out) const {
    copy_as_f32(get(name, shape), out);
  }

 private:
  std::vector<StoredTensor> open_file(const fs::path& path);
  void add(std::vector<StoredTensor> tensors);
  void open_folder(const fs::path& folder);

  std::string path_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

// What a writer will be given, in that order.
struct TensorDeclaration {
  std::string name;
  FileDType dtype;
  std::vector<int64_t> shape;
};

// Writes tensors one after the other as they were declared, each in as many pieces as the caller
// likes. Nothing appears before commit(). Not thread-safe. Movable.
class SafetensorsWriter {
 public:
  // One file.
  static SafetensorsWriter file(const fs::path& path, std::vector<TensorDeclaration> tensors);
  // model.safetensors in `folder`, or several files and an index when the data is larger than
  // max_file_bytes (a single tensor is never split).
  static SafetensorsWriter folder(const fs::path& folder, std::vector<TensorDeclaration> tensors,
                                  int64_t max_file_bytes = 5'000'000'000);
  ~SafetensorsWriter();
  SafetensorsWriter(SafetensorsWriter&&) noexcept;

  // The next bytes of `name`, which must be the tensor whose turn it is.
  void write(std::string_view name, const void* data, int64_t bytes);
  // The next elements, rounded to the declared dtype (F32 or BF16).
  void write_f32(std::string_view name, std::span<const float> values);
  // All declared bytes must have been written.
  void commit();

 private:
  struct State;
  explicit SafetensorsWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace minke
