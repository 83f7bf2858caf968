#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/threads.h"
#include "text/special_tokens.h"
#include "text/utf8.h"

namespace minke {
namespace {

using nlohmann::json;

const fs::path golden = fs::path(MINKE_SOURCE_DIR) / "tests" / "golden";
const fs::path small_folder = golden / "tokenizer_small";

const Tokenizer& small() {
  static const Tokenizer tokenizer = Tokenizer::load(small_folder);
  return tokenizer;
}

// As tools/tokenizer_strings.py: character (i * i + i / 7) % n.
std::string long_run(const std::string& characters, int64_t length) {
  std::vector<std::string> each;
  for (std::string_view rest = characters; !rest.empty();) {
    each.emplace_back(rest.substr(0, utf8_character(rest)));
    rest.remove_prefix(each.back().size());
  }
  std::string run;
  for (int64_t i = 0; i < length; ++i) run += each[(i * i + i / 7) % each.size()];
  return run;
}

std::string joined(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

void check_golden(const Tokenizer& tokenizer, const fs::path& file) {
  for (const json& entry : json::parse(read_file(file))) {
    const bool is_run = entry.contains("characters");
    const auto text =
        is_run ? long_run(entry["characters"], entry["length"]) : entry["text"].get<std::string>();
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(ids), text);
    if (is_run) {
      EXPECT_EQ(ids.size(), entry["count"].get<size_t>()) << entry["characters"];
      EXPECT_EQ(sha256(joined(ids)), entry["sha256"]) << entry["characters"];
    } else {
      EXPECT_EQ(ids, entry["ids"].get<std::vector<int32_t>>()) << text;
    }
  }
}

// Of a released tokenizer.json, which is too large for this repository: `./run test` fetches it.
void check_released(const std::string& name) {
  const fs::path folder = fs::path(MINKE_SOURCE_DIR) / "cache" / "tokenizers" / name;
  if (!fs::exists(folder / "tokenizer_config.json"))
    GTEST_SKIP() << "no " << folder.string() << "; `./run test` fetches it";
  check_golden(Tokenizer::load(folder), golden / ("tokenizer_" + name + ".json"));
}

TEST(Tokenizer, GivesTheIdsOfThePackageTokenizers) {
  check_golden(small(), golden / "tokenizer_small.json");
}

TEST(Tokenizer, GivesTheIdsOfDeepSeekV2) { check_released("deepseek_v2"); }
TEST(Tokenizer, GivesTheIdsOfDeepSeekV3) { check_released("deepseek_v3"); }

TEST(Tokenizer, KnowsItsSpecialTokens) {
  EXPECT_EQ(small().vocab_size(), 1000);
  EXPECT_EQ(small().bos_id(), 0);
  EXPECT_EQ(small().eos_id(), 1);
  EXPECT_EQ(small().pad_id(), 2);
  EXPECT_EQ(small().find_special(special::tool_separator), 999);
  EXPECT_EQ(small().find_special(special::think_begin), 983);
  EXPECT_FALSE(small().find_special("<nothing>").has_value());
  EXPECT_THROW(small().require_special("<nothing>"), Error);
  EXPECT_EQ(small().token_bytes(1), special::eos);
  EXPECT_THROW(small().token_bytes(1000), Error);
  EXPECT_THROW(small().token_bytes(-1), Error);
}

TEST(Tokenizer, SpecialTokensInTextAreAChoice) {
  const std::string text = "<｜User｜>hi";
  const auto user = *small().find_special(special::user);
  EXPECT_EQ(small().encode(text)[0], user);
  const auto plain = small().encode(text, {false, false});
  EXPECT_EQ(std::count(plain.begin(), plain.end(), user), 0);
  EXPECT_EQ(small().decode(plain), text);
  EXPECT_EQ(small().encode("hi", {true, true})[0], 0);
  const std::string marked = std::string(special::bos) + "hi";  // BOS is never doubled
  EXPECT_EQ(small().encode(marked, {true, true}), small().encode("hi", {true, true}));
  EXPECT_EQ(small().encode(special::bos, {true, true}), std::vector<int32_t>{0});
  EXPECT_EQ(small().decode(small().encode("hi", {true, true}), true), "hi");
}

TEST(Tokenizer, AnyBytesComeBack) {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t n = random.below(60); n > 0; --n)
      bytes += random.below(2) ? static_cast<char>(random.next()) : "a \n中"[random.below(6)];
    EXPECT_EQ(small().decode(small().encode(bytes)), bytes);
  }
}

TEST(Tokenizer, ThreadsShareOne) {
  const std::string text = long_run("ab c1.", 5000);
  const auto expected = small().encode(text);
  parallel_for(50, [&](int64_t) { EXPECT_EQ(small().encode(text), expected); });
}

// A server has hundreds of threads that encode.
TEST(Tokenizer, ManyThreadsTakeNoMoreMemoryThanCores) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps what is freed";
#endif
  constexpr int threads = 64;
  constexpr int64_t workspace_bytes = 5'000'000;
  const Tokenizer tokenizer = Tokenizer::load(small_folder);
  const std::string text = long_run("ab c1.", 100000);
  const auto expected = small().encode(text);
  std::barrier begin(threads);
  const int64_t before = resident_bytes();
  std::vector<std::jthread> all;
  for (int i = 0; i < threads; ++i)
    all.emplace_back([&] {
      begin.arrive_and_wait();
      EXPECT_EQ(tokenizer.encode(text), expected);
    });
  all.clear();
  const int64_t thread_bytes = threads * 500'000;  // stacks and what each keeps to itself
  EXPECT_LT(resident_bytes() - before, machine().cores * workspace_bytes + thread_bytes);
}

TEST(StreamDecoder, NeverEmitsHalfACharacter) {
  const std::string text = "née 中文 👩‍💻 \xFF end\xE4\xB8";
  StreamDecoder decoder(small());
  std::string streamed;
  for (const int32_t id : small().encode(text)) {
    const std::string part = decoder.push(id);
    EXPECT_EQ(valid_utf8_prefix(part), part.size());
    streamed += part;
  }
  streamed += decoder.finish();
  EXPECT_EQ(streamed, repair_utf8(text));
}

// The small tokenizer's file with one change; returns the message of the error that loading gives.
std::string error_after(const std::function<void(json&)>& change) {
  const fs::path folder =
      fs::temp_directory_path() / ("minke_tokenizer_" + std::to_string(::getpid()));
  json file = json::parse(read_file(small_folder / "tokenizer.json"));
  change(file);
  write_file(folder / "tokenizer.json", file.dump());
  std::string message;
  try {
    Tokenizer::load(folder);
  } catch (const Error& error) {
    message = error.what();
  }
  fs::remove_all(folder);
  return message;
}

TEST(TokenizerFile, NamesWhatItDoesNotKnow) {
  const auto contains = [](const std::string& message, const char* word) {
    EXPECT_NE(message.find(word), std::string::npos) << message;
  };
  contains(error_after([](json& f) { f["model"]["type"] = "Unigram"; }), "Unigram");
  contains(error_after([](json& f) { f["model"].erase("vocab"); }), "vocab");
  contains(error_after([](json& f) { f["normalizer"] = {{"type", "Lowercase"}}; }), "Lowercase");
  contains(error_after([](json& f) { f["pre_tokenizer"] = {{"type", "Metaspace"}}; }), "Metaspace");
  contains(error_after([](json& f) { f["pre_tokenizer"] = nullptr; }), "byte-level");
  contains(error_after([](json& f) { f["model"]["merges"].push_back("Q Qx"); }), "Qx");
  contains(error_after([](json& f) { f["model"]["vocab"].erase("Ġ"); }), "Ġ");
  contains(error_after([](json& f) { f["added_tokens"][0]["lstrip"] = true; }), "lstrip");
  contains(error_after([](json& f) { f["added_tokens"][0]["id"] = 9'000'000; }), "9000000");
  contains(error_after([](json& f) { f["added_tokens"][0]["id"] = 400; }), "two tokens");
  contains(error_after([](json& f) { f["decoder"] = {{"type", "WordPiece"}}; }), "WordPiece");
  contains(error_after([](json& f) {
             f["post_processor"] = {{"type", "RobertaProcessing"}};
           }),
           "RobertaProcessing");
  contains(
      error_after([](json& f) {
        f["post_processor"] = {
            {"type", "TemplateProcessing"},
            {"single", {{{"Sequence", {{"id", "A"}}}}, {{"SpecialToken", {{"id", "<think>"}}}}}}};
      }),
      "BOS and the text");
  contains(error_after([](json& f) {
             f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "MergedWithNext";
           }),
           "MergedWithNext");
  EXPECT_EQ(error_after([](json&) {}), "");
}

TEST(TokenizerFile, ReadsOtherForms) {
  EXPECT_EQ(
      error_after([](json& f) {
        for (json& merge : f["model"]["merges"]) {
          const auto text = merge.get<std::string>();
          merge = json::array({text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)});
        }
        f["normalizer"] = {{"type", "NFC"}};
        f["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
      }),
      "");
}

TEST(TokenizerFile, TheConfigurationDecidesAboutBos) {
  const fs::path folder =
      fs::temp_directory_path() / ("minke_tokenizer_bos_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  fs::copy_file(small_folder / "tokenizer.json", folder / "tokenizer.json");
  for (const bool adds : {true, false}) {
    write_file(folder / "tokenizer_config.json", json{{"add_bos_token", adds}}.dump());
    EXPECT_EQ(Tokenizer::load(folder).adds_bos(), adds);
  }
  fs::remove_all(folder);
}

TEST(TokenizerFile, NormalFormCIsApplied) {
  TokenizerDefinition definition = read_tokenizer(small_folder);
  definition.nfc = true;
  const Tokenizer tokenizer(definition);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("e\u0301<think>e\u0301")), "é<think>é");
  EXPECT_EQ(tokenizer.encode("e\u0301"), small().encode("é"));
}

TEST(TokenizerFile, WrittenAndReadIsTheSame) {
  const fs::path folder =
      fs::temp_directory_path() / ("minke_tokenizer_copy_" + std::to_string(::getpid()));
  TokenizerDefinition definition = read_tokenizer(small_folder);
  definition.adds_bos = true;
  write_tokenizer(definition, folder);
  const TokenizerDefinition copy = read_tokenizer(folder);
  EXPECT_EQ(copy.tokens, definition.tokens);
  EXPECT_EQ(copy.patterns, definition.patterns);
  EXPECT_EQ(copy.merges.size(), definition.merges.size());
  EXPECT_EQ(copy.bos, definition.bos);
  EXPECT_TRUE(copy.adds_bos);
  fs::remove_all(folder);
}

TEST(TokenizerFile, AMissingOneIsNamed) { EXPECT_THROW(Tokenizer::load("/nowhere"), Error); }

// The ids are those of the `tokenizers` package.
TEST(Tokenizer, LeavesOutBytesThatHaveNoToken) {
  TokenizerDefinition definition = read_tokenizer(small_folder);
  for (std::string& token : definition.tokens)
    if (token == "\x04" || token == "\xff") token.clear();
  const Tokenizer tokenizer(definition);
  EXPECT_EQ(tokenizer.encode("th\x04"
                             "e \x04"),
            (std::vector<int32_t>{284, 71, 223}));
  EXPECT_TRUE(tokenizer.encode("\x04").empty());
  EXPECT_TRUE(tokenizer.encode("\xff").empty());
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("the sea")), "the sea");
}

}  // namespace
}  // namespace minke
