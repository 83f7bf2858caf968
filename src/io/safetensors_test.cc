#include "io/safetensors.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "base/machine.h"
#include "tensor/dtype.h"

namespace minke {
namespace {

class Safetensors : public ::testing::Test {
 protected:
  Safetensors() { fs::create_directories(folder_); }
  ~Safetensors() override { fs::remove_all(folder_); }

  // A file with this header text and so many bytes of data.
  fs::path raw_file(const std::string& header, size_t data_bytes) {
    const uint64_t length = header.size();
    std::string content(8, '\0');
    std::memcpy(content.data(), &length, 8);
    write_file(path_, content + header + std::string(data_bytes, '\1'));
    return path_;
  }

  std::string error_of(const fs::path& path) {
    try {
      SafetensorsReader reader(path);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  void expect_error(const std::string& header, size_t data_bytes, const char* part) {
    const std::string message = error_of(raw_file(header, data_bytes));
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find(path_.string()), std::string::npos) << message;
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-io-{}", ::getpid());
  fs::path path_ = folder_ / "x.safetensors";
};

TEST_F(Safetensors, RoundTrip) {
  const std::vector<float> a = {1.5f, -2.0f, 3.0e-5f, 4.0f, 5.0f, 6.0f};
  const std::vector<int64_t> ids = {1, -2};
  auto writer = SafetensorsWriter::file(path_, {{"empty", FileDType::f32, {0, 4}},
                                                {"a", FileDType::f32, {2, 3}},
                                                {"b", FileDType::bf16, {6}},
                                                {"ids", FileDType::i64, {2}}});
  writer.write_f32("a", std::span(a).first(2));
  writer.write_f32("a", std::span(a).subspan(2));
  writer.write_f32("b", a);
  writer.write("ids", ids.data(), 16);
  EXPECT_FALSE(fs::exists(path_));
  writer.commit();

  const SafetensorsReader reader(path_);
  EXPECT_EQ(reader.tensors().size(), 4);
  std::vector<float> read(6);
  const std::vector<int64_t> shape_a = {2, 3}, shape_b = {6};
  reader.copy_as_f32("a", shape_a, read.data());
  EXPECT_EQ(read, a);
  reader.copy_as_f32("b", shape_b, read.data());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(read[i], to_float(to_bfloat16(a[i])));
  const StoredTensor* stored = reader.find("ids");
  ASSERT_NE(stored, nullptr);
  EXPECT_EQ(stored->describe(), "I64 [2]");
  EXPECT_EQ(std::memcmp(stored->data.data(), ids.data(), 16), 0);
  EXPECT_THROW(reader.copy_as_f32(*stored, read.data()), Error);
  EXPECT_EQ(reader.find("empty")->size(), 0);
}

TEST_F(Safetensors, HalfPrecision) {
  auto writer = SafetensorsWriter::file(path_, {{"h", FileDType::f16, {6}}});
  const std::vector<uint16_t> bits = {0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0xfc00};
  writer.write("h", bits.data(), 12);
  writer.commit();
  std::vector<float> read(6);
  SafetensorsReader(path_).copy_as_f32("h", std::vector<int64_t>{6}, read.data());
  EXPECT_EQ(read,
            (std::vector<float>{1.0f, -2.0f, 0x1p-24f, -1023 * 0x1p-24f, 65504.0f, -INFINITY}));
}

TEST_F(Safetensors, FolderInOneFileOrSeveral) {
  const std::vector<float> values(10, 2.0f);
  const std::vector<TensorDeclaration> tensors = {
      {"a", FileDType::f32, {10}}, {"b", FileDType::f32, {10}}, {"c", FileDType::f32, {10}}};
  for (const int64_t limit : {1000, 80, 1, 1000}) {
    auto writer = SafetensorsWriter::folder(folder_, tensors, limit);
    for (const char* name : {"a", "b", "c"}) writer.write_f32(name, values);
    writer.commit();
    EXPECT_EQ(fs::exists(folder_ / "model.safetensors"), limit == 1000);
    EXPECT_EQ(fs::exists(folder_ / "model.safetensors.index.json"), limit != 1000);
    EXPECT_EQ(SafetensorsReader(folder_).tensors().size(), 3);
  }
  EXPECT_TRUE(fs::exists(folder_ / "model-00002-of-00002.safetensors"));
  EXPECT_TRUE(fs::exists(folder_ / "model-00003-of-00003.safetensors"));
}

TEST_F(Safetensors, WriterWantsTheDeclaredOrder) {
  auto writer =
      SafetensorsWriter::file(path_, {{"a", FileDType::f32, {1}}, {"b", FileDType::f32, {1}}});
  const float value = 1.0f;
  EXPECT_THROW(writer.write("b", &value, 4), Error);
  EXPECT_THROW(writer.write("a", &value, 8), Error);
  EXPECT_THROW(writer.commit(), Error);
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(Safetensors, MissingTensorAndWrongShape) {
  raw_file(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", 24);
  const SafetensorsReader reader(path_);
  const auto message = [&](const char* name, std::vector<int64_t> shape) -> std::string {
    try {
      reader.get(name, shape);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message("b", {2, 3}), path_.string() + ": tensor 'b' is missing");
  EXPECT_EQ(message("a", {3, 2}),
            path_.string() + ": tensor 'a' is F32 [2, 3], expected the shape [3, 2]");
}

TEST_F(Safetensors, RefusesDamagedHeaders) {
  expect_error("", 0, "not valid JSON");
  expect_error("[]", 0, "not a JSON object");
  expect_error(R"({"a":1})", 4, "'a' is not an object");
  expect_error(R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}})", 4, "dtype \"Q9\"");
  expect_error(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "dtype null");
  expect_error(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "no valid shape");
  expect_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
               "no valid data_offsets");
  expect_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4,
               "no valid data_offsets");
  expect_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "cut short");
  expect_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
               "its data has 4 bytes");
  expect_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, "belong to none");
  expect_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "begins at byte 4");
  expect_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
               6, "begins at byte 2");
  // 2^40 x 2^40 elements must not wrap around to what the data has.
  expect_error(
      R"({"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,0]}})", 0,
      "its data has 0 bytes");
  expect_error(R"({"a":)" + std::string(200000, '['), 0, "nested deeper");
}

TEST_F(Safetensors, RefusesFilesCutShort) {
  write_file(path_, "abc");
  EXPECT_NE(error_of(path_).find("only 3 bytes"), std::string::npos);
  write_file(path_, std::string(100, '\xff'));
  EXPECT_NE(error_of(path_).find("header of 18446744073709551615 bytes"), std::string::npos);
  const std::string whole =
      read_file(raw_file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4));
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    write_file(path_, whole.substr(0, bytes));
    EXPECT_NE(error_of(path_), "no error") << bytes;
  }
}

TEST_F(Safetensors, RefusesADamagedIndex) {
  const fs::path index = folder_ / "model.safetensors.index.json";
  EXPECT_NE(error_of(folder_).find("there is no model.safetensors"), std::string::npos);
  raw_file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  write_file(index, R"({"weight_map":{"a":"x.safetensors"}})");
  EXPECT_EQ(error_of(folder_), "no error");
  write_file(index, R"({"weight_map":{"b":"x.safetensors"}})");
  EXPECT_NE(error_of(folder_).find("tensor 'b' is missing"), std::string::npos);
  write_file(index, R"({"weight_map":{"a":"../x.safetensors"}})");
  EXPECT_NE(error_of(folder_).find("expected a file's name"), std::string::npos);
  write_file(index, R"({"weight_map":{"a":"y.safetensors"}})");
  EXPECT_NE(error_of(folder_).find("y.safetensors"), std::string::npos);
  write_file(index, R"({})");
  EXPECT_NE(error_of(folder_).find("weight_map is missing"), std::string::npos);
}

// As many as DeepSeek-V3 has, in time that grows with their number and not with its square.
TEST_F(Safetensors, VeryManyTensors) {
  constexpr int count = 100'000;
  std::string header = "{", index = R"({"weight_map":{)";
  for (int i = 0; i < count; ++i) {
    const std::string name = fmt::format("model.layers.7.mlp.experts.{}.weight", i);
    header += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})",
                          i ? "," : "", name, i, i + 1);
    index += fmt::format(R"({}"{}":"x.safetensors")", i ? "," : "", name);
  }
  raw_file(header + "}", count);
  write_file(folder_ / "model.safetensors.index.json", index + "}}");
  const double start = cpu_seconds();
  EXPECT_EQ(SafetensorsReader(folder_).tensors().size(), count);
  EXPECT_LT(cpu_seconds() - start, 8);
}

TEST_F(Safetensors, FullDiskLeavesTheOldFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting a small tmpfs needs root";
  if (::mount("minke-test", folder_.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "a tmpfs cannot be mounted here: " << std::strerror(errno);
  write_file(path_, "old");
  std::string message;
  try {
    auto writer = SafetensorsWriter::file(path_, {{"a", FileDType::u8, {1 << 20}}});
    const std::string data(1 << 20, 'x');
    writer.write("a", data.data(), 1 << 20);
    writer.commit();
  } catch (const Error& e) {
    message = e.what();
  }
  const std::string left = read_file(path_);
  const auto files = std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  ::umount(folder_.c_str());
  EXPECT_NE(message.find("No space left on device"), std::string::npos) << message;
  EXPECT_EQ(left, "old");
  EXPECT_EQ(files, 1);
}

}  // namespace
}  // namespace minke
