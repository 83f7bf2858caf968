#include "text/gguf_tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/pre_tokenizer_families.h"

namespace minke {
namespace {

using nlohmann::json;

const fs::path golden = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden" / "tokenizer_families";

// A folder of its own, gone when the test is over.
class Families : public testing::Test {
 protected:
  ~Families() override { fs::remove_all(folder_); }

  // The golden vocabulary with a family's pipeline, through a tokenizer.json.
  TokenizerDefinition definition_of(const json& family) {
    json file = json::parse(read_file(golden / "tokenizer.json"));
    file["pre_tokenizer"] = family["pre_tokenizer"];
    file["normalizer"] = family["normalizer"];
    file["model"]["ignore_merges"] = family["ignore_merges"];
    write_file(folder_ / "tokenizer.json", file.dump());
    return read_tokenizer(folder_);
  }

  // A GGUF file with this tokenizer.
  GgufReader gguf_of(const TokenizerDefinition& definition, int64_t vocabulary) {
    GgufMetadata metadata;
    add_gguf_tokenizer(definition, vocabulary, metadata);
    return gguf_of(metadata);
  }
  GgufReader gguf_of(const GgufMetadata& metadata) {
    GgufWriter(folder_ / "x.gguf", metadata, {}).commit();
    return GgufReader(folder_ / "x.gguf");
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-families-{}", ::getpid());
};

void expect_ids(const Tokenizer& tokenizer, const json& content, const json& family) {
  for (size_t i = 0; i < content["strings"].size(); ++i) {
    const auto text = content["strings"][i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), family["ids"][i].get<std::vector<int32_t>>())
        << family["gguf"] << ": " << text;
  }
}

TEST_F(Families, GiveTheIdsOfThePackageTokenizers) {
  const json content = json::parse(read_file(golden / "families.json"));
  for (const json& family : content["families"]) {
    TokenizerDefinition definition = definition_of(family);
    expect_ids(Tokenizer(definition), content, family);
    const fs::path copy = folder_ / "copy";
    write_tokenizer(definition, copy);
    expect_ids(Tokenizer::load(copy), content, family);
    if (family["gguf"].is_null()) {
      EXPECT_THROW(gguf_of(definition, 1300), Error);
      continue;
    }
    const GgufReader reader = gguf_of(definition, 1300);
    EXPECT_EQ(reader.string("tokenizer.ggml.pre"), family["gguf"].get<std::string>());
    expect_ids(load_gguf_tokenizer(reader), content, family);
  }
}

TEST_F(Families, IdsAndKindsComeBack) {
  const json content = json::parse(read_file(golden / "families.json"));
  TokenizerDefinition definition = definition_of(content["families"][2]);
  const auto used = static_cast<int32_t>(definition.tokens.size());
  definition.bos = definition.pad = 0;
  definition.eos = 5;
  definition.eot = 7;
  definition.adds_bos = true;
  const Tokenizer tokenizer = load_gguf_tokenizer(gguf_of(definition, 1300));
  EXPECT_EQ(tokenizer.vocab_size(), used);  // rows without a token are none
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 5);
  EXPECT_EQ(tokenizer.eot_id(), 7);
  EXPECT_EQ(tokenizer.pad_id(), 0);
  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_EQ(tokenizer.find_special("<|end|>"), 0);
  EXPECT_TRUE(tokenizer.is_special(0));
  const int32_t think = tokenizer.require_special("<think>");
  EXPECT_EQ(tokenizer.token_bytes(think), "<think>");
  EXPECT_FALSE(tokenizer.is_special(think));
  EXPECT_THROW(tokenizer.token_bytes(used), Error);
  EXPECT_THROW(gguf_of(definition, used - 1), Error);
}

// An id between others that no token has: a model may draw it, and it has no text.
TEST_F(Families, GapsHaveNoText) {
  TokenizerDefinition definition =
      definition_of(json::parse(read_file(golden / "families.json"))["families"][2]);
  const auto last = static_cast<int32_t>(definition.tokens.size()) - 1;
  definition.tokens.resize(definition.tokens.size() + 5);
  definition.tokens.push_back("<last>");
  definition.added.push_back({last + 6, "<last>", true, false});
  const Tokenizer tokenizer = load_gguf_tokenizer(gguf_of(definition, 1300));
  EXPECT_EQ(tokenizer.vocab_size(), last + 7);
  EXPECT_EQ(tokenizer.token_bytes(last + 3), "");
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(last + 3), "");
}

TEST_F(Families, SayWhatIsWrong) {
  const auto expect = [&](const std::function<void(GgufMetadata&)>& fill, const char* part) {
    GgufMetadata metadata;
    fill(metadata);
    try {
      load_gguf_tokenizer(gguf_of(metadata));
      FAIL() << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  const auto gpt2 = [](GgufMetadata& m) { m.add("tokenizer.ggml.model", "gpt2"); };
  const std::vector<std::string> tokens = {"a", "b", "ab"};
  expect([](GgufMetadata&) {}, "tokenizer.ggml.model is missing");
  expect([](GgufMetadata& m) { m.add("tokenizer.ggml.model", "llama"); }, "\"llama\"");
  expect(gpt2, "tokenizer.ggml.tokens is missing");
  expect([&](GgufMetadata& m) { gpt2(m), m.add("tokenizer.ggml.pre", "tekken"); },
         "\"tekken\"; Minke has deepseek-v3, ");
  const auto vocabulary = [&](GgufMetadata& m) { gpt2(m), m.add("tokenizer.ggml.tokens", tokens); };
  expect(vocabulary, "tokenizer.ggml.merges is missing");
  const auto merges = [&](GgufMetadata& m, const std::string& merge) {
    vocabulary(m), m.add("tokenizer.ggml.merges", std::vector<std::string>{merge});
  };
  expect([&](GgufMetadata& m) { merges(m, "ab"); }, "is not two tokens");
  expect([&](GgufMetadata& m) { merges(m, "b a"); }, "needs the token \"ba\"");
  expect([&](GgufMetadata& m) { merges(m, "a b"); }, "no token for the byte 0x20");
  expect([&](GgufMetadata& m) { merges(m, "a b"), m.add("tokenizer.ggml.bos_token_id", 3u); },
         "bos_token_id is 3");
  expect(
      [&](GgufMetadata& m) {
        gpt2(m), m.add("tokenizer.ggml.tokens", std::vector<std::string>{"a", "\x9e"});
        m.add("tokenizer.ggml.token_type", std::vector<int32_t>{1, 3});
      },
      "id 1 is not valid UTF-8");
  expect(
      [&](GgufMetadata& m) {
        vocabulary(m), m.add("tokenizer.ggml.token_type", std::vector<int32_t>{1});
      },
      "1 token types for 3 tokens");
}

}  // namespace
}  // namespace minke
