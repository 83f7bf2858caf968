#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_format.h"

namespace minke {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF's numbers are copied as they are");

using Metadata = std::map<std::string, GgufValue, std::less<>>;

// Walks over a file's head. Every step is checked against the bytes that are left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > left())
      fail("{}: cut short: {} at byte {} needs {} bytes, {} are left", file_, what, at_, count,
           left());
    const auto taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  template <typename T>
  T read(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string_view read_string(std::string_view what) {
    const auto bytes = take(read<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::span<const std::byte> since(size_t begin) const {
    return bytes_.subspan(begin, at_ - begin);
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  size_t at_ = 0;
};

struct Head {
  uint64_t tensors, values;
};

Head read_head(Cursor& cursor, const std::string& file) {
  const auto magic = cursor.take(gguf_magic.size(), "the file's head");
  if (std::memcmp(magic.data(), gguf_magic.data(), gguf_magic.size()) != 0)
    fail("{}: not a GGUF file: it does not begin with \"GGUF\"", file);
  const auto version = cursor.read<uint32_t>("the version");
  if (version != 0 && (version & 0xFFFF) == 0)
    fail("{}: its numbers are big-endian; Minke reads little-endian GGUF files", file);
  if (version != 2 && version != gguf_version)
    fail("{}: GGUF version {}; Minke reads 2 and 3", file, version);
  const auto tensors = cursor.read<uint64_t>("the number of tensors");
  const auto values = cursor.read<uint64_t>("the number of metadata values");
  return {tensors, values};
}

GgufType read_type(Cursor& cursor, std::string_view key, const std::string& file) {
  const auto type = cursor.read<uint32_t>(key);
  if (type > static_cast<uint32_t>(GgufType::f64))
    fail("{}: metadata '{}' has the type {}; GGUF's are 0 to 12", file, key, type);
  return static_cast<GgufType>(type);
}

GgufValue read_value(Cursor& cursor, std::string_view key, const std::string& file) {
  GgufValue value{.type = read_type(cursor, key, file), .bytes = {}};
  if (value.type == GgufType::array) {
    value.is_array = true;
    value.type = read_type(cursor, key, file);
    if (value.type == GgufType::array)
      fail("{}: metadata '{}' is an array of arrays, which Minke does not read", file, key);
    value.count = cursor.read<uint64_t>(key);
  }
  const size_t begin = cursor.at(), element = gguf_type_bytes(value.type);
  if (element > 0) {
    const bool overflows = value.count > std::numeric_limits<uint64_t>::max() / element;
    cursor.take(overflows ? value.count : value.count * element, key);
  } else {
    for (uint64_t i = 0; i < value.count; ++i) cursor.read_string(key);
  }
  value.bytes = cursor.since(begin);
  return value;
}

Metadata read_metadata(Cursor& cursor, uint64_t count, const std::string& file) {
  Metadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = cursor.read_string("a metadata key");
    const GgufValue value = read_value(cursor, key, file);
    if (!metadata.emplace(key, value).second) fail("{}: metadata '{}' comes twice", file, key);
  }
  return metadata;
}

template <typename T>
T load(const GgufValue& value, uint64_t index) {
  T result;
  std::memcpy(&result, value.bytes.data() + index * sizeof(T), sizeof(T));
  return result;
}

// Nothing when a u64 does not fit.
std::optional<int64_t> integer_at(const GgufValue& value, uint64_t index) {
  switch (value.type) {
    case GgufType::u8:
      return load<uint8_t>(value, index);
    case GgufType::i8:
      return load<int8_t>(value, index);
    case GgufType::u16:
      return load<uint16_t>(value, index);
    case GgufType::i16:
      return load<int16_t>(value, index);
    case GgufType::u32:
      return load<uint32_t>(value, index);
    case GgufType::i32:
      return load<int32_t>(value, index);
    case GgufType::i64:
      return load<int64_t>(value, index);
    default: {
      const auto large = load<uint64_t>(value, index);
      return large > INT64_MAX ? std::nullopt : std::optional(static_cast<int64_t>(large));
    }
  }
}

double number_at(const GgufValue& value, uint64_t index) {
  if (value.type == GgufType::f32) return load<float>(value, index);
  if (value.type == GgufType::f64) return load<double>(value, index);
  if (value.type == GgufType::u64) return static_cast<double>(load<uint64_t>(value, index));
  return static_cast<double>(*integer_at(value, index));
}

bool is_integer(GgufType type) {
  return type != GgufType::f32 && type != GgufType::f64 && type != GgufType::boolean &&
         type != GgufType::string;
}
bool is_number(GgufType type) { return type != GgufType::boolean && type != GgufType::string; }
bool is_boolean(GgufType type) { return type == GgufType::boolean; }
bool is_string(GgufType type) { return type == GgufType::string; }

// A tensor as the head describes it, with its offset in the data.
struct Entry {
  GgufTensor tensor;
  uint64_t offset;
  uint64_t bytes;
};

std::vector<int64_t> read_shape(Cursor& cursor, std::string_view name, const std::string& file) {
  const auto rank = cursor.read<uint32_t>(name);
  if (rank < 1 || rank > gguf_max_rank)
    fail("{}: tensor '{}' has {} dimensions, expected 1 to {}", file, name, rank, gguf_max_rank);
  std::vector<int64_t> shape(rank);
  int64_t size = 1;
  for (size_t i = rank; i-- > 0;) {
    const auto extent = cursor.read<uint64_t>(name);
    if (extent == 0 || extent > INT64_MAX ||
        __builtin_mul_overflow(size, static_cast<int64_t>(extent), &size))
      fail("{}: tensor '{}' has no valid shape: dimension {} is {}", file, name, rank - 1 - i,
           extent);
    shape[i] = static_cast<int64_t>(extent);
  }
  return shape;
}

Entry read_entry(Cursor& cursor, const std::string& file) {
  const std::string_view name = cursor.read_string("a tensor's name");
  std::vector<int64_t> shape = read_shape(cursor, name, file);
  const auto type = cursor.read<uint32_t>(name);
  const auto format = block_format_of_ggml(type);
  if (!format)
    fail("{}: tensor '{}' has the type {} ({}), which Minke does not read", file, name, type,
         ggml_type_name(type));
  if (shape.back() % block_elements(*format) != 0)
    fail("{}: tensor '{}' has rows of {} elements, which are no whole blocks of {}", file, name,
         shape.back(), block_format_name(*format));
  const auto offset = cursor.read<uint64_t>(name);
  Entry entry{{std::string(name), *format, std::move(shape), {}, file}, offset, 0};
  const auto blocks = static_cast<uint64_t>(entry.tensor.size() / block_elements(*format));
  if (__builtin_mul_overflow(blocks, static_cast<uint64_t>(block_bytes(*format)), &entry.bytes))
    fail("{}: tensor '{}' is {}, larger than any file", file, name, entry.tensor.describe());
  return entry;
}

// Power of two, as GGML wants it.
uint64_t read_alignment(const Metadata& metadata, const std::string& file) {
  const auto found = metadata.find(gguf_alignment_key);
  if (found == metadata.end()) return gguf_default_alignment;
  const GgufValue& value = found->second;
  const auto alignment =
      !value.is_array && is_integer(value.type) ? integer_at(value, 0).value_or(0) : 0;
  if (alignment <= 0 || alignment > (1 << 30) || !std::has_single_bit(uint64_t(alignment)))
    fail("{}: {} is {}, expected a power of two", file, gguf_alignment_key, alignment);
  return static_cast<uint64_t>(alignment);
}

// Gives each tensor its bytes: inside the file, aligned, none twice.
void place(std::vector<Entry>& entries, std::span<const std::byte> data, uint64_t alignment,
           const std::string& file) {
  std::ranges::sort(entries, {}, [](const Entry& entry) { return entry.offset; });
  uint64_t free = 0;
  const Entry* before = nullptr;
  for (Entry& entry : entries) {
    const std::string& name = entry.tensor.name;
    if (entry.offset % alignment != 0)
      fail("{}: tensor '{}' begins at byte {} of the data, expected a multiple of {}", file, name,
           entry.offset, alignment);
    if (entry.offset > data.size() || entry.bytes > data.size() - entry.offset)
      fail("{}: cut short: tensor '{}' is {} at byte {} of the data, which has {} bytes", file,
           name, entry.tensor.describe(), entry.offset, data.size());
    if (entry.offset < free)
      fail("{}: tensor '{}' begins at byte {} of the data, inside of '{}'", file, name,
           entry.offset, before->tensor.name);
    entry.tensor.data = data.subspan(entry.offset, entry.bytes);
    free = entry.offset + entry.bytes;
    before = &entry;
  }
}

// "name-00002-of-00003.gguf" taken apart.
struct PartName {
  std::string prefix;
  int64_t index, count;  // index from 1
};

std::optional<PartName> parse_part_name(const fs::path& path) {
  const std::string name = path.filename().string();
  constexpr size_t suffix = std::string_view("-00001-of-00003.gguf").size();
  if (name.size() <= suffix) return std::nullopt;
  int index = 0, count = 0, read = 0;
  if (std::sscanf(name.c_str() + name.size() - suffix, "-%5d-of-%5d.gguf%n", &index, &count,
                  &read) != 2 ||
      read != static_cast<int>(suffix) || index < 1 || count < index)
    return std::nullopt;
  return PartName{name.substr(0, name.size() - suffix), index, count};
}

int64_t part_integer(const Metadata& metadata, std::string_view key, int64_t otherwise) {
  const auto found = metadata.find(key);
  if (found == metadata.end() || found->second.is_array || !is_integer(found->second.type))
    return otherwise;
  return integer_at(found->second, 0).value_or(otherwise);
}

}  // namespace

int64_t GgufTensor::size() const {
  int64_t size = 1;
  for (const int64_t extent : shape) size *= extent;
  return size;
}

std::string GgufTensor::describe() const {
  return fmt::format("{} [{}]", block_format_name(format), fmt::join(shape, ", "));
}

GgufReader::GgufReader(const fs::path& path) : path_(path.string()) {
  const auto name = parse_part_name(path);
  const int64_t parts = name ? name->count : 1;
  for (int64_t part = 1; part <= parts; ++part) {
    const fs::path file =
        name ? path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", name->prefix, part, parts)
             : path;
    if (name && !fs::exists(file))
      fail("{}: part {} of {} is missing: {}", path_, part, parts, file.string());
    open_part(file, part, parts);
  }
  const int64_t all = part_integer(metadata_, "split.tensors.count", -1);
  if (parts > 1 && all >= 0 && all != static_cast<int64_t>(tensors_.size()))
    fail("{}: the {} parts have {} tensors, split.tensors.count says {}", path_, parts,
         tensors_.size(), all);
}

void GgufReader::open_part(const fs::path& path, int64_t part, int64_t parts) {
  const std::string file = path.string();
  files_.push_back(std::make_unique<MappedFile>(path));
  const auto bytes = files_.back()->bytes();
  Cursor cursor(bytes, file);
  const Head head = read_head(cursor, file);
  Metadata metadata = read_metadata(cursor, head.values, file);
  const int64_t its_parts = part_integer(metadata, "split.count", 1);
  const int64_t its_part = part_integer(metadata, "split.no", 0) + 1;
  if (std::max<int64_t>(1, its_parts) != parts || (parts > 1 && its_part != part))
    fail("{}: its metadata says part {} of {}, expected {} of {} by its name", file, its_part,
         its_parts, part, parts);
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < head.tensors; ++i) entries.push_back(read_entry(cursor, file));
  const uint64_t alignment = read_alignment(metadata, file);
  const uint64_t begin = (cursor.at() + alignment - 1) / alignment * alignment;
  place(entries, bytes.subspan(std::min<uint64_t>(begin, bytes.size())), alignment, file);
  for (Entry& entry : entries) add(std::move(entry.tensor));
  if (part == 1) metadata_ = std::move(metadata);
}

void GgufReader::add(GgufTensor tensor) {
  if (const GgufTensor* other = find(tensor.name))
    fail("{}: tensor '{}' comes twice, {} and {}", tensor.file, tensor.name, other->describe(),
         tensor.describe());
  std::string name = tensor.name;
  tensors_.emplace(std::move(name), std::move(tensor));
}

const GgufTensor* GgufReader::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const GgufValue* GgufReader::find_value(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

const GgufValue* GgufReader::typed_value(std::string_view key, bool is_array, const char* expected,
                                         bool (*accepts)(GgufType)) const {
  const GgufValue* value = find_value(key);
  if (value && (value->is_array != is_array || !accepts(value->type)))
    fail("{}: metadata '{}' is {}{}, expected {}", path_, key,
         value->is_array ? "an array of " : "", gguf_type_name(value->type), expected);
  return value;
}

std::optional<int64_t> GgufReader::integer(std::string_view key) const {
  const GgufValue* value = typed_value(key, false, "an integer", is_integer);
  if (!value) return std::nullopt;
  const auto result = integer_at(*value, 0);
  if (!result) fail("{}: metadata '{}' is too large", path_, key);
  return result;
}

std::optional<double> GgufReader::number(std::string_view key) const {
  const GgufValue* value = typed_value(key, false, "a number", is_number);
  return value ? std::optional(number_at(*value, 0)) : std::nullopt;
}

std::optional<bool> GgufReader::boolean(std::string_view key) const {
  const GgufValue* value = typed_value(key, false, "a bool", is_boolean);
  return value ? std::optional(load<uint8_t>(*value, 0) != 0) : std::nullopt;
}

std::optional<std::string_view> GgufReader::string(std::string_view key) const {
  const GgufValue* value = typed_value(key, false, "a string", is_string);
  if (!value) return std::nullopt;
  return Cursor(value->bytes, path_).read_string(key);
}

std::optional<std::vector<int64_t>> GgufReader::integers(std::string_view key) const {
  const GgufValue* value = typed_value(key, true, "an array of integers", is_integer);
  if (!value) return std::nullopt;
  std::vector<int64_t> result(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto element = integer_at(*value, i);
    if (!element) fail("{}: metadata '{}' has an element that is too large", path_, key);
    result[i] = *element;
  }
  return result;
}

std::optional<std::vector<double>> GgufReader::numbers(std::string_view key) const {
  const GgufValue* value = typed_value(key, true, "an array of numbers", is_number);
  if (!value) return std::nullopt;
  std::vector<double> result(value->count);
  for (uint64_t i = 0; i < value->count; ++i) result[i] = number_at(*value, i);
  return result;
}

std::optional<std::vector<std::string_view>> GgufReader::strings(std::string_view key) const {
  const GgufValue* value = typed_value(key, true, "an array of strings", is_string);
  if (!value) return std::nullopt;
  std::vector<std::string_view> result(value->count);
  Cursor cursor(value->bytes, path_);
  for (std::string_view& element : result) element = cursor.read_string(key);
  return result;
}

}  // namespace minke
