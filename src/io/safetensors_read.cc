#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "config/sorted_json.h"
#include "io/safetensors.h"
#include "io/safetensors_format.h"
#include "tensor/dtype.h"

namespace minke {
namespace {

using nlohmann::json;

std::string describe_shape(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// The JSON text at the head of a file; checks the length against the file before using it.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < safetensors_length_bytes)
    fail("{}: not a safetensors file: it has only {} bytes", file, bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), safetensors_length_bytes);
  if (length > safetensors_max_header)
    fail("{}: not a safetensors file: its first 8 bytes give a header of {} bytes", file, length);
  if (length > bytes.size() - safetensors_length_bytes)
    fail("{}: cut short: it has {} bytes, its header alone needs {}", file, bytes.size(),
         length + safetensors_length_bytes);
  return {reinterpret_cast<const char*>(bytes.data()) + safetensors_length_bytes, length};
}

// A list of non-negative integers.
std::optional<std::vector<int64_t>> read_integers(const json& object, const char* key) {
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return std::nullopt;
  std::vector<int64_t> values;
  for (const json& value : *list) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) return std::nullopt;
    values.push_back(value.get<int64_t>());
  }
  return values;
}

std::optional<FileDType> read_dtype(const json& object) {
  const auto name = object.find("dtype");
  if (name == object.end() || !name->is_string()) return std::nullopt;
  return parse_file_dtype(name->get<std::string>());
}

// shape x dtype in bytes, nothing when it does not fit into 64 bits.
std::optional<int64_t> checked_bytes(FileDType dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = file_dtype_bytes(dtype);
  for (const int64_t extent : shape)
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  return bytes;
}

StoredTensor read_entry(const std::string& name, const json& entry, std::span<const std::byte> data,
                        const std::string& file) {
  if (!entry.is_object()) fail("{}: header entry '{}' is not an object", file, name);
  const auto dtype = read_dtype(entry);
  if (!dtype)
    fail("{}: tensor '{}' has dtype {}, which Minke does not know", file, name,
         shown(entry.value("dtype", json())));
  const auto shape = read_integers(entry, "shape");
  const auto offsets = read_integers(entry, "data_offsets");
  if (!shape) fail("{}: tensor '{}' has no valid shape", file, name);
  if (!offsets || offsets->size() != 2 || offsets->front() > offsets->back())
    fail("{}: tensor '{}' has no valid data_offsets", file, name);
  const int64_t begin = offsets->front(), end = offsets->back();
  if (end > static_cast<int64_t>(data.size()))
    fail("{}: cut short: tensor '{}' ends at byte {} of the data, of which there are {}", file,
         name, end, data.size());
  if (checked_bytes(*dtype, *shape) != end - begin)
    fail("{}: tensor '{}' is {} {}, but its data has {} bytes", file, name, file_dtype_name(*dtype),
         describe_shape(*shape), end - begin);
  return {name, *dtype, *shape, data.subspan(begin, end - begin), file};
}

// The tensors must cover the data without gap or overlap, as the format demands.
void check_cover(std::vector<const StoredTensor*> tensors, std::span<const std::byte> data,
                 const std::string& file) {
  std::ranges::sort(tensors, {}, [](const StoredTensor* t) {
    return std::pair(t->data.data(), t->data.data() + t->data.size());
  });
  const std::byte* next = data.data();
  for (const StoredTensor* tensor : tensors) {
    if (tensor->data.data() != next)
      fail("{}: tensor '{}' begins at byte {} of the data, expected {}", file, tensor->name,
           tensor->data.data() - data.data(), next - data.data());
    next += tensor->data.size();
  }
  const int64_t rest = data.data() + data.size() - next;
  if (rest != 0) fail("{}: {} bytes after the last tensor belong to none", file, rest);
}

std::vector<StoredTensor> read_header(std::span<const std::byte> bytes, const std::string& file) {
  const std::string_view text = header_text(bytes, file);
  const json header = parse_sorted_json(text, file);
  if (!header.is_object()) fail("{}: its header is not a JSON object", file);
  const auto data = bytes.subspan(safetensors_length_bytes + text.size());
  std::vector<StoredTensor> tensors;
  for (const auto& [name, entry] : header.items())
    if (name != "__metadata__") tensors.push_back(read_entry(name, entry, data, file));
  std::vector<const StoredTensor*> pointers;
  pointers.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) pointers.push_back(&tensor);
  check_cover(std::move(pointers), data, file);
  return tensors;
}

// The file name of each tensor. A name with a folder in it could lead anywhere and is refused.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const json index = parse_sorted_json(read_file(path, safetensors_max_header), path.string());
  const json weight_map = index.is_object() ? index.value("weight_map", json()) : json();
  if (!weight_map.is_object()) fail("{}: weight_map is missing", path.string());
  std::map<std::string, std::string> file_of;
  for (const auto& [name, value] : weight_map.items()) {
    const std::string file = value.is_string() ? value.get<std::string>() : "";
    if (file.empty() || fs::path(file).filename() != file || file == "..")
      fail("{}: tensor '{}' is said to be in {}, expected a file's name", path.string(), name,
           shown(value));
    file_of[name] = file;
  }
  return file_of;
}

template <typename T, typename Convert>
void convert_to_f32(std::span<const std::byte> data, float* out, Convert convert) {
  for (size_t i = 0; i < data.size() / sizeof(T); ++i) {
    T value;
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    out[i] = convert(value);
  }
}

// IEEE half precision. Subnormals are multiples of 2^-24.
float half_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f, mantissa = bits & 0x3ff;
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -value : value;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

}  // namespace

int64_t StoredTensor::size() const {
  return static_cast<int64_t>(data.size()) / file_dtype_bytes(dtype);
}

std::string StoredTensor::describe() const {
  return fmt::format("{} {}", file_dtype_name(dtype), describe_shape(shape));
}

SafetensorsReader::SafetensorsReader(const fs::path& path) : path_(path.string()) {
  if (fs::is_directory(path))
    open_folder(path);
  else
    add(open_file(path));
}

std::vector<StoredTensor> SafetensorsReader::open_file(const fs::path& path) {
  files_.push_back(std::make_unique<MappedFile>(path));
  return read_header(files_.back()->bytes(), path.string());
}

void SafetensorsReader::add(std::vector<StoredTensor> tensors) {
  for (StoredTensor& tensor : tensors) {
    std::string name = tensor.name;
    tensors_.emplace(std::move(name), std::move(tensor));
  }
}

void SafetensorsReader::open_folder(const fs::path& folder) {
  const fs::path single = folder / "model.safetensors";
  if (fs::exists(single)) return add(open_file(single));
  if (!fs::exists(folder / safetensors_index_name))
    fail("{}: there is no model.safetensors and no {}", path_, safetensors_index_name);
  const std::map<std::string, std::string> file_of = read_index(folder / safetensors_index_name);
  std::set<std::string> file_names;
  for (const auto& [name, file] : file_of) file_names.insert(file);
  for (const std::string& file : file_names) {
    std::vector<StoredTensor> tensors = open_file(folder / file);
    std::erase_if(tensors, [&](const StoredTensor& tensor) {
      const auto found = file_of.find(tensor.name);
      return found == file_of.end() || found->second != file;
    });
    add(std::move(tensors));
  }
  for (const auto& [name, file] : file_of)
    if (!find(name))
      fail("{}: tensor '{}' is missing; {} expects it there", (folder / file).string(), name,
           safetensors_index_name);
}

const StoredTensor* SafetensorsReader::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const StoredTensor& SafetensorsReader::get(std::string_view name,
                                           std::span<const int64_t> shape) const {
  const StoredTensor* tensor = find(name);
  if (!tensor) fail("{}: tensor '{}' is missing", path_, name);
  if (!std::ranges::equal(tensor->shape, shape))
    fail("{}: tensor '{}' is {}, expected the shape {}", tensor->file, name, tensor->describe(),
         describe_shape(shape));
  return *tensor;
}

void SafetensorsReader::copy_as_f32(const StoredTensor& tensor, float* out) const {
  if (tensor.size() == 0) return;
  switch (tensor.dtype) {
    case FileDType::f32:
      std::memcpy(out, tensor.data.data(), tensor.data.size());
      return;
    case FileDType::bf16:
      return convert_to_f32<BFloat16>(tensor.data, out, [](BFloat16 x) { return to_float(x); });
    case FileDType::f16:
      return convert_to_f32<uint16_t>(tensor.data, out, half_to_float);
    default:
      fail("{}: tensor '{}' is {}, expected F32, BF16 or F16", tensor.file, tensor.name,
           tensor.describe());
  }
}

}  // namespace minke
