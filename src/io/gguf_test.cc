#include "io/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/stored_matrix.h"

namespace minke {
namespace {

using nlohmann::json;

const fs::path golden = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden" / "gguf";

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string text(std::string_view characters) {
  return raw(uint64_t{characters.size()}) + std::string(characters);
}

std::string value(std::string_view key, GgufType type, const std::string& bytes) {
  return text(key) + raw(type) + bytes;
}

struct Description {
  std::string name;
  uint32_t type;
  std::vector<uint64_t> extents;  // as in the file: the first one varies fastest
  uint64_t offset;
};

// A file's bytes, right or wrong, as given.
std::string make_file(const std::vector<std::string>& values,
                      const std::vector<Description>& tensors, size_t data_bytes,
                      uint32_t version = 3) {
  std::string bytes =
      "GGUF" + raw(version) + raw(uint64_t{tensors.size()}) + raw(uint64_t{values.size()});
  for (const std::string& v : values) bytes += v;
  for (const Description& t : tensors) {
    bytes += text(t.name) + raw(static_cast<uint32_t>(t.extents.size()));
    for (const uint64_t extent : t.extents) bytes += raw(extent);
    bytes += raw(t.type) + raw(t.offset);
  }
  bytes.resize((bytes.size() + 31) / 32 * 32);
  return bytes + std::string(data_bytes, '\1');
}

class Gguf : public testing::Test {
 protected:
  ~Gguf() override { fs::remove_all(folder_); }

  std::string error_of(const std::string& bytes) {
    fs::create_directories(folder_);  // written without syncing: there are many of them
    std::ofstream(path_, std::ios::binary) << bytes;
    return error_of_path(path_);
  }
  static std::string error_of_path(const fs::path& path) {
    try {
      const GgufReader reader(path);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).rfind(path.parent_path().string(), 0), 0) << error.what();
      return error.what();
    }
    return "no error";
  }
  void expect_error(const std::string& bytes, const char* part) {
    const std::string message = error_of(bytes);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-gguf-{}", ::getpid());
  fs::path path_ = folder_ / "x.gguf";
};

void expect_metadata(const GgufReader& reader, const std::string& key, const json& expected) {
  if (expected.is_string()) {
    EXPECT_EQ(reader.string(key), expected.get<std::string>());
  } else if (expected.is_boolean()) {
    EXPECT_EQ(reader.boolean(key), expected.get<bool>());
  } else if (expected.is_number_float()) {
    EXPECT_EQ(reader.number(key), expected.get<double>());
  } else if (expected.is_number()) {
    EXPECT_EQ(reader.integer(key), expected.get<int64_t>());
    EXPECT_EQ(reader.number(key), expected.get<double>());
  } else if (expected[0].is_string()) {
    const auto strings = reader.strings(key);
    ASSERT_TRUE(strings.has_value());
    EXPECT_EQ(std::vector<std::string>(strings->begin(), strings->end()),
              expected.get<std::vector<std::string>>());
  } else if (expected[0].is_number_float()) {
    EXPECT_EQ(reader.numbers(key), expected.get<std::vector<double>>());
  } else {
    EXPECT_EQ(reader.integers(key), expected.get<std::vector<int64_t>>());
  }
}

void expect_golden(const GgufReader& reader) {
  const json expected = json::parse(read_file(golden / "small.json"));
  EXPECT_EQ(reader.string("general.architecture"), "deepseek2");
  for (const auto& [key, entry] : expected["metadata"].items()) expect_metadata(reader, key, entry);
  EXPECT_EQ(reader.tensors().size(), expected["tensors"].size());
  for (const auto& [name, entry] : expected["tensors"].items()) {
    const GgufTensor* tensor = reader.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(block_format_name(tensor->format), entry["format"]);
    EXPECT_EQ(tensor->shape, entry["shape"].get<std::vector<int64_t>>());
    EXPECT_EQ(sha256({reinterpret_cast<const char*>(tensor->data.data()), tensor->data.size()}),
              entry["sha256"]);
  }
}

TEST_F(Gguf, ReadsWhatThePackageGgufWrites) { expect_golden(GgufReader(golden / "small.gguf")); }

TEST_F(Gguf, WritesWhatItReads) {
  const GgufReader source(golden / "small.gguf");
  GgufMetadata metadata;
  for (const auto& [key, entry] : source.metadata()) metadata.add(key, entry);
  std::vector<GgufDeclaration> declarations;
  for (const auto& [name, tensor] : source.tensors())
    declarations.push_back({name, tensor.format, tensor.shape});
  GgufWriter writer(path_, metadata, declarations);
  for (const auto& [name, tensor] : source.tensors()) {
    const auto half = static_cast<int64_t>(tensor.data.size() / 2);
    writer.write(name, tensor.data.data(), half);
    writer.write(name, tensor.data.data() + half, static_cast<int64_t>(tensor.data.size()) - half);
  }
  EXPECT_FALSE(fs::exists(path_));
  writer.commit();
  expect_golden(GgufReader(path_));
}

TEST_F(Gguf, MetadataOfEveryKind) {
  GgufMetadata metadata;
  metadata.add("u32", uint32_t{7});
  metadata.add("u64", uint64_t{1} << 63);
  metadata.add("i32", int32_t{-7});
  metadata.add("f32", 0.25f);
  metadata.add("bool", true);
  metadata.add("string", "text");
  metadata.add("strings", std::vector<std::string>{"a", "b"});
  metadata.add("i32s", std::vector<int32_t>{1, 2});
  metadata.add("f32s", std::vector<float>{0.5f});
  GgufWriter(path_, metadata, {}).commit();
  const GgufReader reader(path_);
  EXPECT_EQ(reader.metadata().size(), 9);
  EXPECT_EQ(reader.integer("u32"), 7);
  EXPECT_EQ(reader.integer("i32"), -7);
  EXPECT_EQ(reader.number("u64"), 0x1p63);
  EXPECT_EQ(reader.number("f32"), 0.25);
  EXPECT_EQ(reader.string("string"), "text");
  EXPECT_EQ(reader.strings("strings")->at(1), "b");
  EXPECT_EQ(reader.integers("i32s"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(reader.numbers("f32s"), std::vector<double>{0.5});
  EXPECT_FALSE(reader.integer("nothing").has_value());
  EXPECT_THROW(reader.integer("u64"), Error);
  EXPECT_THROW(reader.integer("string"), Error);
  EXPECT_THROW(reader.string("strings"), Error);
  EXPECT_THROW(reader.strings("i32s"), Error);
  EXPECT_THROW(reader.boolean("u32"), Error);
  EXPECT_THROW(reader.number("bool"), Error);
}

TEST_F(Gguf, WriterWantsTheDeclaredOrder) {
  const std::vector<GgufDeclaration> tensors = {{"a", BlockFormat::f32, {1}},
                                                {"b", BlockFormat::q8_0, {2, 32}}};
  GgufWriter writer(path_, {}, tensors);
  const char data[256] = {};
  EXPECT_THROW(writer.write("b", data, 4), Error);
  EXPECT_THROW(writer.write("a", data, 8), Error);
  writer.write("a", data, 4);
  EXPECT_THROW(writer.commit(), Error);
  writer.write("b", data, 68);
  EXPECT_THROW(writer.write("b", data, 1), Error);
  writer.commit();
  EXPECT_EQ(GgufReader(path_).find("b")->describe(), "Q8_0 [2, 32]");
  EXPECT_THROW(GgufWriter(path_, {}, {{"f", BlockFormat::f8_e4m3, {4}}}), Error);
  EXPECT_THROW(GgufWriter(path_, {}, {{"f", BlockFormat::q8_0, {32, 2}}}), Error);
}

TEST_F(Gguf, OlderVersionAndOtherAlignment) {
  write_file(path_, make_file({value("general.alignment", GgufType::u32, raw(uint32_t{64}))},
                              {{"a", 0, {2}, 0}, {"b", 0, {2}, 64}}, 200, 2));
  EXPECT_EQ(GgufReader(path_).find("b")->data.size(), 8);
}

TEST_F(Gguf, RefusesAnotherKindOfFile) {
  expect_error("", "cut short");
  expect_error("GGML" + std::string(40, '\0'), "does not begin with \"GGUF\"");
  expect_error(make_file({}, {}, 0, 1), "GGUF version 1");
  expect_error(make_file({}, {}, 0, 4), "GGUF version 4");
  expect_error(make_file({}, {}, 0, 0x03000000), "big-endian");
}

TEST_F(Gguf, RefusesDamagedMetadata) {
  const std::string one = raw(uint32_t{1}), huge = raw(~uint64_t{0});
  expect_error(make_file({value("k", GgufType{13}, one)}, {}, 0), "type 13");
  expect_error(make_file({value("k", GgufType::u32, one), value("k", GgufType::u32, one)}, {}, 0),
               "'k' comes twice");
  expect_error(make_file({value("k", GgufType::string, huge)}, {}, 0), "cut short: k");
  for (const GgufType type : {GgufType::u8, GgufType::u64, GgufType::string})
    expect_error(make_file({value("k", GgufType::array, raw(type) + huge)}, {}, 0), "cut short: k");
  expect_error(
      make_file({value("k", GgufType::array, raw(GgufType::array) + raw(uint64_t{0}))}, {}, 0),
      "array of arrays");
  expect_error("GGUF" + raw(uint32_t{3}) + raw(uint64_t{0}) + huge, "cut short");
  expect_error("GGUF" + raw(uint32_t{3}) + huge + raw(uint64_t{0}), "cut short");
  for (const uint32_t alignment : {0u, 3u, 48u, 0x80000000u})
    expect_error(make_file({value("general.alignment", GgufType::u32, raw(alignment))}, {}, 0),
                 "expected a power of two");
  expect_error(make_file({value("general.alignment", GgufType::string, text("32"))}, {}, 0),
               "expected a power of two");
}

TEST_F(Gguf, RefusesDamagedTensors) {
  const auto expect = [&](const std::vector<Description>& tensors, size_t bytes, const char* part) {
    expect_error(make_file({}, tensors, bytes), part);
  };
  expect({{"a", 0, {}, 0}}, 64, "'a' has 0 dimensions");
  expect({{"a", 0, {1, 1, 1, 1, 1}, 0}}, 64, "'a' has 5 dimensions");
  expect({{"a", 0, {4, 0}, 0}}, 64, "dimension 1 is 0");
  expect({{"a", 0, {uint64_t{1} << 40, uint64_t{1} << 40}, 0}}, 64, "no valid shape");
  expect({{"a", 0, {uint64_t{1} << 62}, 0}}, 64, "larger than any file");
  expect({{"a", 0, {~uint64_t{0}}, 0}}, 64, "no valid shape");
  expect({{"a", 16, {256}, 0}}, 64, "'a' has the type 16 (IQ2_XXS)");
  expect({{"a", 999, {256}, 0}}, 64, "'a' has the type 999 (unknown)");
  expect({{"a", 4, {256}, 0}}, 64, "type 4");
  expect({{"a", 8, {33}, 0}}, 64, "no whole blocks of Q8_0");
  expect({{"a", 0, {4}, 8}}, 64, "expected a multiple of 32");
  expect({{"a", 0, {4}, uint64_t{1} << 63}}, 64, "cut short: tensor 'a'");
  expect({{"a", 0, {32}, 0}}, 64, "cut short: tensor 'a'");
  expect({{"a", 0, {16}, 0}, {"b", 0, {4}, 32}}, 64, "inside of 'a'");
  expect({{"a", 0, {4}, 0}, {"b", 0, {4}, 0}}, 64, "inside of 'a'");
  expect({{"a", 0, {4}, 0}, {"a", 0, {4}, 32}}, 64, "'a' comes twice");
}

TEST_F(Gguf, RefusesFilesCutShort) {
  const std::string whole = make_file({value("k", GgufType::u32, raw(uint32_t{1}))},
                                      {{"a", 0, {16}, 0}, {"b", 0, {16}, 64}}, 128);
  EXPECT_EQ(error_of(whole), "no error");
  for (size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_NE(error_of(whole.substr(0, bytes)), "no error") << bytes;
}

std::string part(uint16_t index, uint16_t count, const char* tensor) {
  std::vector<std::string> values = {value("split.no", GgufType::u16, raw(index)),
                                     value("split.count", GgufType::u16, raw(count)),
                                     value("split.tensors.count", GgufType::i32, raw(int32_t{3}))};
  if (index == 0) values.push_back(value("general.name", GgufType::string, text("all")));
  return make_file(values, {{tensor, 0, {4}, 0}}, 32);
}

TEST_F(Gguf, FindsAllPartsOfASplitFile) {
  const auto name = [&](int i) { return folder_ / fmt::format("m-{:05}-of-00003.gguf", i); };
  for (int i = 1; i <= 3; ++i)
    write_file(name(i), part(static_cast<uint16_t>(i - 1), 3, std::string(1, 'a' + i - 1).c_str()));
  for (int i = 1; i <= 3; ++i) {
    const GgufReader reader(name(i));
    EXPECT_EQ(reader.tensors().size(), 3);
    EXPECT_EQ(reader.string("general.name"), "all");
    EXPECT_EQ(reader.find("b")->file, name(2).string());
  }
  write_file(name(3), part(1, 3, "c"));
  EXPECT_NE(error_of_path(name(1)).find("says part 2 of 3, expected 3 of 3"), std::string::npos);
  write_file(name(3), part(2, 3, "a"));
  EXPECT_NE(error_of_path(name(1)).find("'a' comes twice"), std::string::npos);
  fs::remove(name(3));
  EXPECT_NE(error_of_path(name(1)).find("part 3 of 3 is missing: " + name(3).string()),
            std::string::npos);
  write_file(path_, part(0, 3, "a"));
  EXPECT_NE(error_of_path(path_).find("says part 1 of 3, expected 1 of 1"), std::string::npos);
}

TEST_F(Gguf, StoredMatrices) {
  const GgufReader reader(golden / "small.gguf");
  const StoredMatrix stacked = stored_matrix(*reader.find("stacked"));
  EXPECT_EQ(stacked.rows, 6);
  EXPECT_EQ(stacked.columns, 5);
  const StoredMatrix blocks = stored_matrix(*reader.find("w.Q4_K"));
  EXPECT_EQ(blocks.format, BlockFormat::q4_k);
  EXPECT_EQ(blocks.row(2) - blocks.data, 2 * 144);
}

}  // namespace
}  // namespace minke
