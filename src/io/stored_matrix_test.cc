#include "io/stored_matrix.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"

namespace minke {
namespace {

// A file of zeros with these tensors; gone when the test is over.
class StoredMatrices : public testing::Test {
 protected:
  ~StoredMatrices() override { fs::remove_all(path_.parent_path()); }

  SafetensorsReader make(const std::vector<TensorDeclaration>& tensors) {
    SafetensorsWriter writer = SafetensorsWriter::file(path_, tensors);
    for (const TensorDeclaration& tensor : tensors) {
      int64_t bytes = file_dtype_bytes(tensor.dtype);
      for (const int64_t extent : tensor.shape) bytes *= extent;
      writer.write(tensor.name, std::string(static_cast<size_t>(bytes), '\0').data(), bytes);
    }
    writer.commit();
    return SafetensorsReader(path_);
  }
  std::string error_of(const std::vector<TensorDeclaration>& tensors) {
    const SafetensorsReader reader = make(tensors);
    try {
      stored_matrix(reader, *reader.find("w"));
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path path_ =
      fs::temp_directory_path() / fmt::format("minke-stored-{}", ::getpid()) / "x.safetensors";
};

TEST_F(StoredMatrices, OfPlainNumbers) {
  const SafetensorsReader reader = make(
      {{"v", FileDType::f32, {5}}, {"w", FileDType::bf16, {2, 3}}, {"h", FileDType::f16, {1, 4}}});
  const StoredMatrix vector = stored_matrix(reader, *reader.find("v"));
  EXPECT_EQ(vector.rows, 1);
  EXPECT_EQ(vector.columns, 5);
  const StoredMatrix matrix = stored_matrix(reader, *reader.find("w"));
  EXPECT_EQ(matrix.format, BlockFormat::bf16);
  EXPECT_EQ(matrix.row(1) - matrix.data, 6);
  EXPECT_EQ(matrix.data, reader.find("w")->data.data());
  EXPECT_EQ(stored_matrix(reader, *reader.find("h")).format, BlockFormat::f16);
}

TEST_F(StoredMatrices, Fp8BringsItsScales) {
  const SafetensorsReader reader =
      make({{"w", FileDType::f8_e4m3, {130, 256}}, {"w_scale_inv", FileDType::f32, {2, 2}}});
  const StoredMatrix matrix = stored_matrix(reader, *reader.find("w"));
  EXPECT_EQ(matrix.format, BlockFormat::f8_e4m3);
  EXPECT_EQ(matrix.scales, reader.find("w_scale_inv")->data.data());
}

TEST_F(StoredMatrices, SaysWhatIsWrong) {
  const TensorDeclaration w{"w", FileDType::f8_e4m3, {130, 256}};
  EXPECT_NE(error_of({w}).find("'w_scale_inv' is missing"), std::string::npos);
  EXPECT_NE(
      error_of({w, {"w_scale_inv", FileDType::f32, {1, 2}}}).find("expected the shape [2, 2]"),
      std::string::npos);
  EXPECT_NE(error_of({w, {"w_scale_inv", FileDType::bf16, {2, 2}}}).find("expected F32"),
            std::string::npos);
  EXPECT_NE(error_of({{"w", FileDType::i64, {2, 2}}}).find("I64 [2, 2]"), std::string::npos);
  EXPECT_NE(error_of({{"w", FileDType::f32, {2, 2, 2}}}).find("F32 [2, 2, 2]"), std::string::npos);
}

}  // namespace
}  // namespace minke
