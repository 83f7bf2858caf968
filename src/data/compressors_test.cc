#include "data/compressors.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/random.h"
#include "data/test_folder.h"

namespace minke {
namespace {

std::string some_text(int64_t words) {
  Random random(1);
  std::string text;
  for (int64_t i = 0; i < words; ++i) text += std::to_string(random.below(5000)) + " whales ";
  return text;
}

// What the program itself writes, where there is one.
void expect_size_of(const std::string& program, const std::string& text, int64_t got) {
  const TestFolder folder("compressors");
  folder.write("text", text);
  const fs::path in = folder.path() / "text", out = folder.path() / "packed";
  const std::string call = program + " -9 -T1 -c '" + in.string() + "' > '" + out.string() + "'";
  if (std::system(call.c_str()) != 0) GTEST_SKIP() << "there is no " << program;
  EXPECT_EQ(static_cast<int64_t>(fs::file_size(out)), got);
}

TEST(Compressors, XzIsTheProgram) {
  for (const int64_t words : {0, 1, 30, 20000}) {
    const std::string text = some_text(words);
    expect_size_of("xz", text, xz_bytes(text));
  }
}

TEST(Compressors, GzipIsNearTheProgram) {
  EXPECT_LT(gzip_bytes(""), 30);
  const std::string text = some_text(20000);
  const int64_t bytes = gzip_bytes(text);
  EXPECT_LT(bytes, static_cast<int64_t>(text.size()) / 2);
  EXPECT_GT(bytes, xz_bytes(text));
}

}  // namespace
}  // namespace minke
