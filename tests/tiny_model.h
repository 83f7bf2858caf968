#pragma once
// A fixture with a tiny DeepSeek-V3 that `minke train` has made of a few sentences, by
// tests/tiny_model.toml: run/.

#include "program.h"

namespace minke {

class TinyModelTest : public ProgramTest {
 protected:
  // train_options: what differs from the recipe.
  explicit TinyModelTest(const std::string& train_options = "") {
    fs::copy(fs::path(MINKE_SOURCE_DIR) / "tests/golden/tokenizer_small", folder_ / "tokenizer");
    std::string text;
    for (int i = 0; i < 40; ++i)
      text += fmt::format("{{\"text\": \"{} ships and {} whales in the sea, {} seen\"}}\n", i,
                          3 * i, i % 7);
    write_file(folder_ / "corpus.jsonl", text);
    fs::copy(fs::path(MINKE_SOURCE_DIR) / "tests/tiny_model.toml", folder_ / "recipe.toml");
    succeeds(
        "data prepare --input corpus.jsonl --tokenizer tokenizer --output data "
        "--validation-fraction 0.1 --near-duplicates off");
    succeeds("train recipe.toml " + train_options);
  }

  Outcome succeeds(const std::string& arguments) const {
    const Outcome outcome = run("--quiet --threads 1 " + arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    return outcome;
  }
  // The call ends with this code and says `message`.
  void fails(const std::string& arguments, int code, const std::string& message) const {
    const Outcome outcome = run("--quiet --threads 1 " + arguments);
    EXPECT_EQ(outcome.code, code) << arguments;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << arguments << "\n" << outcome.err;
  }
};

}  // namespace minke
