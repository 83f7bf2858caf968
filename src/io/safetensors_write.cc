#include <cstring>
#include <deque>

#include "base/error.h"
#include "config/json.h"
#include "io/safetensors.h"
#include "io/safetensors_format.h"
#include "tensor/dtype.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

int64_t bytes_of(const TensorDeclaration& tensor) {
  int64_t bytes = file_dtype_bytes(tensor.dtype);
  for (const int64_t extent : tensor.shape) bytes *= extent;
  return bytes;
}

// Length and JSON, padded with spaces so that the data begins at a multiple of 8.
std::string make_header(std::span<const TensorDeclaration> tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  int64_t offset = 0;
  for (const TensorDeclaration& tensor : tensors) {
    const int64_t end = offset + bytes_of(tensor);
    header[tensor.name] = {{"dtype", file_dtype_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::string prefix(safetensors_length_bytes, '\0');
  std::memcpy(prefix.data(), &length, safetensors_length_bytes);
  return prefix + text;
}

// Cuts the list into runs of at most max_bytes, each with at least one tensor.
std::vector<std::span<const TensorDeclaration>> cut(std::span<const TensorDeclaration> tensors,
                                                    int64_t max_bytes) {
  std::vector<std::span<const TensorDeclaration>> runs;
  size_t begin = 0;
  int64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t next = bytes_of(tensors[i]);
    if (i > begin && bytes + next > max_bytes) {
      runs.push_back(tensors.subspan(begin, i - begin));
      begin = i;
      bytes = 0;
    }
    bytes += next;
  }
  runs.push_back(tensors.subspan(begin));
  return runs;
}

}  // namespace

// All files are open from the start, so that commit() can make them appear together.
struct SafetensorsWriter::State {
  fs::path folder;  // empty when one file was asked for
  std::vector<TensorDeclaration> tensors;
  std::vector<AtomicFile> files;
  std::vector<std::string> file_names;
  std::vector<size_t> file_of_tensor;
  size_t current = 0;         // index of the tensor whose turn it is
  int64_t current_bytes = 0;  // written of it

  void open(const fs::path& path, std::span<const TensorDeclaration> run) {
    files.emplace_back(path).write(make_header(run));
    file_names.push_back(path.filename().string());
    file_of_tensor.insert(file_of_tensor.end(), run.size(), files.size() - 1);
    skip_complete();
  }

  // Moves past the tensors that have all their bytes; some have none.
  void skip_complete() {
    while (current < tensors.size() && current_bytes == bytes_of(tensors[current])) {
      ++current;
      current_bytes = 0;
    }
  }

  void write_index() const {
    auto file_of = nlohmann::json::object();  // sorted: of the other kind each insertion walks all
    int64_t total = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      file_of[tensors[i].name] = file_names[file_of_tensor[i]];
      total += bytes_of(tensors[i]);
    }
    const nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", file_of}};
    write_file(folder / safetensors_index_name, index.dump(2) + "\n");
  }
};

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsWriter::~SafetensorsWriter() = default;
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;

SafetensorsWriter SafetensorsWriter::file(const fs::path& path,
                                          std::vector<TensorDeclaration> tensors) {
  auto state = std::make_unique<State>();
  state->tensors = std::move(tensors);
  state->open(path, state->tensors);
  return SafetensorsWriter(std::move(state));
}

SafetensorsWriter SafetensorsWriter::folder(const fs::path& folder,
                                            std::vector<TensorDeclaration> tensors,
                                            int64_t max_file_bytes) {
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->tensors = std::move(tensors);
  const auto runs = cut(state->tensors, max_file_bytes);
  for (size_t i = 0; i < runs.size(); ++i)
    state->open(folder / (runs.size() == 1 ? "model.safetensors"
                                           : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1,
                                                         runs.size())),
                runs[i]);
  return SafetensorsWriter(std::move(state));
}

void SafetensorsWriter::write(std::string_view name, const void* data, int64_t bytes) {
  State& s = *state_;
  if (bytes == 0) return;
  require(s.current < s.tensors.size() && s.tensors[s.current].name == name,
          "tensor '{}' was written out of turn", name);
  require(s.current_bytes + bytes <= bytes_of(s.tensors[s.current]),
          "tensor '{}' is larger than declared", name);
  s.files[s.file_of_tensor[s.current]].write(data, static_cast<size_t>(bytes));
  s.current_bytes += bytes;
  s.skip_complete();
}

void SafetensorsWriter::write_f32(std::string_view name, std::span<const float> values) {
  if (values.empty()) return;
  require(state_->current < state_->tensors.size(), "tensor '{}' was written out of turn", name);
  const FileDType dtype = state_->tensors[state_->current].dtype;
  if (dtype == FileDType::f32)
    return write(name, values.data(), static_cast<int64_t>(values.size_bytes()));
  require(dtype == FileDType::bf16, "tensor '{}' was declared as {}", name, file_dtype_name(dtype));
  constexpr size_t piece = 1 << 16;
  std::vector<BFloat16> buffer;
  for (size_t begin = 0; begin < values.size(); begin += piece) {
    const auto part = values.subspan(begin, std::min(piece, values.size() - begin));
    buffer.resize(part.size());
    for (size_t i = 0; i < part.size(); ++i) buffer[i] = to_bfloat16(part[i]);
    write(name, buffer.data(), static_cast<int64_t>(buffer.size() * sizeof(BFloat16)));
  }
}

void SafetensorsWriter::commit() {
  State& s = *state_;
  require(s.current == s.tensors.size(), "tensor '{}' was not written",
          s.current < s.tensors.size() ? s.tensors[s.current].name : "");
  for (AtomicFile& file : s.files) file.commit();
  if (s.folder.empty()) return;
  // What an earlier writer left in the other form must not be found by a reader.
  if (s.files.size() > 1) {
    s.write_index();
    fs::remove(s.folder / "model.safetensors");
  } else {
    fs::remove(s.folder / safetensors_index_name);
  }
}

}  // namespace minke
