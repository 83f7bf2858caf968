#include "data/prepare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/threads.h"
#include "data/fim.h"
#include "data/shuffle.h"
#include "data/test_folder.h"
#include "data/token_dataset.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

const fs::path tokenizer_folder =
    fs::path(MINKE_SOURCE_DIR) / "tests" / "golden" / "tokenizer_small";

// JSONL with `count` different documents, one of them twice.
std::string jsonl(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    std::string words;
    Random random(static_cast<uint64_t>(i));
    for (int word = 0; word < 40; ++word) words += fmt::format("word{} 中 ", random.below(900));
    text += "{\"text\": \"" + words + "<think>\"}\n";
    if (i == 3) text += "{\"text\": \"" + words + "<think>\"}\n";
  }
  return text;
}

PrepareOptions options_for(const TestFolder& folder, int documents = 200) {
  PrepareOptions options;
  options.inputs = {folder.write("corpus.jsonl", jsonl(documents))};
  options.tokenizer = tokenizer_folder;
  options.output = folder.path() / "prepared";
  options.validation_fraction = 0.1;
  options.shard_tokens = 5000;
  return options;
}

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Shuffle, IsAPermutation) {
  for (const int64_t size : {1, 2, 3, 7, 64, 1000, 4097}) {
    std::set<int64_t> seen;
    int64_t fixed = 0;
    for (int64_t i = 0; i < size; ++i) {
      const int64_t to = permuted(i, size, 42);
      ASSERT_GE(to, 0);
      ASSERT_LT(to, size);
      seen.insert(to);
      fixed += to == i;
    }
    EXPECT_EQ(static_cast<int64_t>(seen.size()), size);
    EXPECT_LT(fixed, 10);
  }
  EXPECT_NE(permuted(0, 1 << 20, 1), permuted(0, 1 << 20, 2));
}

TEST(Fim, GivesTheTextBack) {
  const Tokenizer tokenizer = Tokenizer::load(tokenizer_folder);
  const std::string text = "One 中文 two, <think> three 😀 four é";
  Random random(1);
  for (int round = 0; round < 100; ++round) {
    const FimParts parts = cut_for_fim(text, random);
    const auto ids = encode_fim(parts, tokenizer, false);
    const auto hole =
        std::find(ids.begin(), ids.end(), tokenizer.require_special(special::fim_hole));
    const auto end = std::find(ids.begin(), ids.end(), tokenizer.require_special(special::fim_end));
    ASSERT_EQ(ids[0], tokenizer.require_special(special::fim_begin));
    ASSERT_LT(hole, end);
    const std::string prefix = tokenizer.decode(std::span(ids.begin() + 1, hole));
    const std::string suffix = tokenizer.decode(std::span(hole + 1, end));
    const std::string middle = tokenizer.decode(std::span(end + 1, ids.end()));
    EXPECT_EQ(fmt::format("{}{}{}", prefix, middle, suffix), text);
  }
}

TEST(Prepare, MakesACompleteDataSet) {
  const TestFolder folder("prepare");
  const PrepareOptions options = options_for(folder);
  const DatasetIndex index = prepare_data(options);
  EXPECT_EQ(index.documents_read, 201);
  EXPECT_EQ(index.exact_duplicates, 1);
  EXPECT_EQ(index.train.documents + index.validation.documents, 200);
  EXPECT_NEAR(index.validation.documents, 20, 12);
  EXPECT_NEAR(index.fim_documents, 18, 14);
  EXPECT_GT(index.train.shards.size(), 2u);
  EXPECT_EQ(index.token_width, 2);
  const std::string held_out = read_file(options.output / "validation.txt");
  EXPECT_EQ(static_cast<int64_t>(held_out.size()), index.validation.text_bytes);
  EXPECT_EQ(read_index(options.output).train.shards[1].sha256,
            sha256_file(options.output / index.train.shards[1].file));
}

// Rearranged documents have the same tokens as others.
TEST(Prepare, TrustedTextHasItsTokens) {
  const TestFolder folder("trusted");
  PrepareOptions options = options_for(folder);
  options.validation_fraction = 0;
  options.parse_special = true;
  options.fim_rate = 1;
  const DatasetIndex index = prepare_data(options);
  EXPECT_EQ(index.fim_documents, 200);
  const TokenDataset dataset(options.output, Split::train, {.sequence_length = 1});
  const int32_t think = Tokenizer::load(tokenizer_folder).require_special("<think>");
  std::vector<int32_t> pairs(2 * dataset.windows());
  dataset.read_sequences(0, dataset.windows(), pairs.data());
  int64_t found = 0;
  for (size_t i = 0; i < pairs.size(); i += 2) found += pairs[i] == think;
  EXPECT_GT(found, 190) << "few cuts go through one";
}

TEST(Prepare, TheOutputIsNotInTheInput) {
  const TestFolder folder("inside");
  PrepareOptions options = options_for(folder);
  options.inputs = {folder.path()};
  const auto refused = [&](const fs::path& output) {
    options.output = output;
    return error_of([&] { prepare_data(options); });
  };
  for (const char* name : {"prepared", "sub/prepared/", "sub/../prepared"})
    EXPECT_NE(refused(folder.path() / name).find("validation.txt"), std::string::npos) << name;
  for (const char* name : {"_prepared", ".cache/data/", "../minke_inside_elsewhere"})
    EXPECT_EQ(refused(folder.path() / name), "") << name;
  fs::remove_all(folder.path() / "../minke_inside_elsewhere");
}

TEST(Prepare, ThreadsDoNotMatter) {
  const TestFolder folder("threads");
  PrepareOptions options = options_for(folder);
  const int threads = thread_count();
  std::set<std::string> indices;
  for (const int count : {1, 2, 3}) {
    set_thread_count(count);
    prepare_data(options);
    indices.insert(sha256_file(options.output / "index.json"));  // it has the shards' hashes
  }
  set_thread_count(threads);
  EXPECT_EQ(indices.size(), 1u);
}

TEST(Prepare, ValidationBitsPerByteAreExact) {
  const TestFolder folder("bytes");
  const PrepareOptions options = options_for(folder);
  prepare_data(options);
  const TokenDataset dataset(options.output, Split::validation,
                             {.sequence_length = 16, .mtp_depth = 1});
  const Tokenizer tokenizer = Tokenizer::load(options.output);
  std::vector<int32_t> all(dataset.windows() * dataset.window());
  dataset.read_sequences(0, dataset.windows(), all.data());
  // The targets of all windows in a row, and the very first token, are the text without EOS.
  std::string text(tokenizer.token_bytes(all[0]));
  int64_t bytes = 0;
  for (int64_t i = 0; i < dataset.windows(); ++i) {
    const auto sequence = std::span(all).subspan(i * dataset.window(), dataset.window());
    bytes += dataset.target_bytes(sequence);
    text += tokenizer.decode(sequence.subspan(1, 16), true);
  }
  EXPECT_EQ(bytes + static_cast<int64_t>(tokenizer.token_bytes(all[0]).size()),
            static_cast<int64_t>(text.size()));
  EXPECT_TRUE(read_file(options.output / "validation.txt").starts_with(text));
  EXPECT_LT(dataset.index().validation.text_bytes - static_cast<int64_t>(text.size()), 200);
}

TEST(TokenDataset, EveryWindowComesOnceAnEpoch) {
  const TestFolder folder("epoch");
  const PrepareOptions options = options_for(folder);
  const DatasetIndex index = prepare_data(options);
  const WindowOptions window{.sequence_length = 32, .mtp_depth = 2, .seed = 3};
  const TokenDataset dataset(options.output, Split::train, window);
  EXPECT_EQ(dataset.window(), 35);
  EXPECT_EQ(dataset.windows(), (index.train.tokens - 3) / 32);
  std::vector<int32_t> two_epochs(2 * dataset.windows() * 35);
  dataset.read_sequences(0, 2 * dataset.windows(), two_epochs.data());
  std::multiset<std::vector<int32_t>> first, second;
  int64_t same_place = 0;
  for (int64_t i = 0; i < dataset.windows(); ++i) {
    const auto a = two_epochs.begin() + i * 35, b = a + dataset.windows() * 35;
    first.insert({a, a + 35});
    second.insert({b, b + 35});
    same_place += std::equal(a, a + 35, b);
  }
  EXPECT_EQ(first, second);
  EXPECT_LT(same_place, 10);
}

TEST(TokenDataset, ResumesAnywhere) {
  const TestFolder folder("resume");
  const PrepareOptions options = options_for(folder);
  prepare_data(options);
  const WindowOptions window{.sequence_length = 20, .seed = 9};
  const TokenDataset dataset(options.output, Split::train, window),
      again(options.output, Split::train, window);
  const int64_t start = dataset.windows() - 5, size = dataset.window();
  std::vector<int32_t> whole((start + 10) * size), rest(10 * size);
  dataset.read_sequences(0, start + 10, whole.data());
  again.read_sequences(start, 10, rest.data());
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), whole.begin() + start * size));
}

TEST(TokenDataset, FindsDocumentStarts) {
  const TestFolder folder("starts");
  const PrepareOptions options = options_for(folder);
  prepare_data(options);
  const TokenDataset dataset(options.output, Split::validation, {.sequence_length = 400});
  std::vector<int32_t> sequence(401);
  dataset.read_sequences(0, 1, sequence.data());
  const auto starts = dataset.document_starts(sequence);
  ASSERT_FALSE(starts.empty());
  for (const int64_t start : starts) EXPECT_EQ(sequence[start - 1], dataset.index().eos_id);
}

TEST(TokenDataset, DamageIsNamed) {
  const TestFolder folder("damage");
  const PrepareOptions options = options_for(folder);
  const fs::path shard = options.output / "train-00001.bin";
  const auto open = [&] {
    return error_of([&] { TokenDataset(options.output, Split::train, {.sequence_length = 16}); });
  };
  prepare_data(options);
  EXPECT_EQ(open(), "");
  const std::string good = read_file(shard);
  write_file(shard, std::string_view(good).substr(0, good.size() - 100));
  EXPECT_NE(open().find("train-00001.bin has 9964 bytes"), std::string::npos) << open();
  EXPECT_NE(open().find("10064"), std::string::npos);
  std::string damaged = good;
  damaged[500] ^= 1;
  write_file(shard, damaged);
  EXPECT_NE(open().find("checksum"), std::string::npos);
  damaged[0] = 'X';
  write_file(shard, damaged);
  EXPECT_NE(open().find("train-00001.bin"), std::string::npos);
  write_file(shard, "");
  EXPECT_NE(open().find("train-00001.bin has 0 bytes"), std::string::npos) << open();
  fs::remove(shard);
  EXPECT_NE(open().find("train-00001.bin"), std::string::npos);
  write_file(options.output / "index.json", "{");
  EXPECT_NE(open().find("index.json"), std::string::npos);
}

// Counts that overflow, and ids that the vocabulary does not have.
TEST(TokenDataset, LiesOfAnIndexAreNamed) {
  const TestFolder folder("lies");
  const PrepareOptions options = options_for(folder);
  const DatasetIndex good = prepare_data(options);
  const auto read = [&](const DatasetIndex& index) {
    write_index(index, options.output);
    return error_of([&] {
      const TokenDataset dataset(options.output, Split::train, {.sequence_length = 16});
      std::vector<int32_t> all(dataset.windows() * dataset.window());
      dataset.read_sequences(0, dataset.windows(), all.data());
    });
  };
  for (const int64_t tokens :
       {int64_t{-16}, int64_t{1} << 62, std::numeric_limits<int64_t>::max()}) {
    DatasetIndex index = good;
    index.train.shards[1].tokens = tokens;
    EXPECT_NE(read(index).find("train-00001.bin"), std::string::npos) << tokens;
  }
  DatasetIndex small = good;
  small.vocab_size = 300;
  small.token_bytes.resize(300);
  EXPECT_NE(read(small).find("the vocabulary has 300"), std::string::npos) << read(small);
}

TEST(Prepare, BadCallsDestroyNothing) {
  const TestFolder folder("bad");
  PrepareOptions options = options_for(folder, 20);
  prepare_data(options);
  const std::string before = sha256_file(options.output / "index.json");
  PrepareOptions bad = options;
  bad.inputs = {folder.write("empty.txt", "")};
  EXPECT_NE(error_of([&] { prepare_data(bad); }).find("empty"), std::string::npos);
  bad = options, bad.fim_rate = 1.5;
  EXPECT_NE(error_of([&] { prepare_data(bad); }).find("FIM"), std::string::npos);
  bad = options, bad.tokenizer = folder.path();
  EXPECT_NE(error_of([&] { prepare_data(bad); }).find("tokenizer"), std::string::npos);
  EXPECT_EQ(sha256_file(options.output / "index.json"), before);
  for (const int64_t length : {int64_t{100000}, std::numeric_limits<int64_t>::max()})
    EXPECT_NE(error_of([&] {
                TokenDataset(options.output, Split::train, {.sequence_length = length});
              }).find("too few"),
              std::string::npos)
        << length;
}

}  // namespace
}  // namespace minke
