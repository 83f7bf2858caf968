#include "data/corpus.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "base/error.h"
#include "base/threads.h"
#include "data/test_folder.h"
#include "text/utf8.h"

namespace minke {
namespace {

std::string gzip(std::string_view text) {
  std::string out(compressBound(text.size()) + 32, '\0');
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<Document> read(const std::vector<fs::path>& inputs, const CorpusOptions& options = {}) {
  std::vector<Document> documents;
  read_corpus(inputs, options, [&](std::vector<Document>& batch) {
    for (Document& document : batch) documents.push_back(std::move(document));
  });
  return documents;
}

std::string error_of(const std::vector<fs::path>& inputs) {
  try {
    read(inputs);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Corpus, ReadsEveryKindInTheOrderOfNames) {
  const TestFolder folder("kinds");
  folder.write("a.txt", "plain");
  folder.write("b.md.gz", gzip("# packed"));
  folder.write("c.jsonl", "{\"text\": \"one\"}\n\n{\"id\": 3, \"text\": \"two\\n\\u0000\"}");
  folder.write("d.jsonl.zst", zstd("{\"text\":\"three\"}\n"));
  folder.write("sub/e.html", "<p>" + std::string(200, 'x') + "</p>");
  folder.write("sub/f.pod", "=head1 NAME\n\ntext\n");
  folder.write("_left_out/g.txt", "no");
  folder.write(".hidden.txt", "no");
  folder.write("image.png", "no");
  const auto documents = read({folder.path()});
  ASSERT_EQ(documents.size(), 7u);
  EXPECT_EQ(documents[0].text, "plain");
  EXPECT_EQ(documents[1].text, "# packed");
  EXPECT_EQ(documents[2].text, "one");
  EXPECT_EQ(documents[3].text, std::string("two\n\0", 5));
  EXPECT_TRUE(documents[3].source.ends_with("c.jsonl:3"));
  EXPECT_EQ(documents[4].text, "three");
  EXPECT_EQ(documents[5].text, std::string(200, 'x') + "\n");
  EXPECT_EQ(documents[6].text, "NAME\n\ntext\n");
}

TEST(Corpus, CutsLongTextBetweenParagraphs) {
  const TestFolder folder("long");
  std::string text;
  for (int i = 0; text.size() < 5 << 20; ++i)
    text += "Paragraph " + std::to_string(i) + " é中.\n\n";
  const auto documents = read({folder.write("long.txt", text)});
  EXPECT_GE(documents.size(), 5u);
  std::string joined;
  for (const Document& document : documents) {
    EXPECT_TRUE(document.text.starts_with("Paragraph"));
    joined += document.text;
  }
  EXPECT_EQ(joined, text);
}

TEST(Corpus, LineWithoutAnyBreakIsCutBetweenCharacters) {
  const TestFolder folder("line");
  std::string text;
  while (text.size() < 3 << 20) text += "中é";
  std::string joined;
  for (const Document& document : read({folder.write("line.txt", text)})) {
    EXPECT_EQ(valid_utf8_prefix(document.text), document.text.size());
    joined += document.text;
  }
  EXPECT_EQ(joined, text);
}

TEST(Corpus, LatinOneBecomesUtf8) {
  const TestFolder folder("latin");
  EXPECT_EQ(read({folder.write("a.txt", "caf\xE9 is a word of many letters")})[0].text,
            "café is a word of many letters");
}

TEST(Corpus, BinaryFilesAreNamedAndSkipped) {
  const TestFolder folder("binary");
  folder.write("good.txt", "text");
  const fs::path bad = folder.write("bad.txt", std::string("\x7f\x45LF\0\0\0\0", 8));
  EXPECT_EQ(read({folder.path()}).size(), 1u);
  EXPECT_NE(error_of({bad}).find("bad.txt"), std::string::npos);
}

// A pipe cannot be read twice, and opening one waits for ever; a link may lead to itself.
TEST(Corpus, WhatIsNoFileIsNotRead) {
  const TestFolder folder("special");
  folder.write("good.txt", "text");
  ASSERT_EQ(::mkfifo((folder.path() / "pipe.txt").c_str(), 0600), 0);
  fs::create_symlink("loop.txt", folder.path() / "loop.txt");
  fs::create_symlink("/dev/zero", folder.path() / "zero.html");
  EXPECT_EQ(read({folder.path()}).size(), 1u);
  EXPECT_NE(error_of({folder.path() / "pipe.txt"}).find("pipe.txt is no file"), std::string::npos);
}

// What a small file becomes is not known before it is read. Order and text stay as they are.
TEST(Corpus, AFileThatGrowsIsReadInPieces) {
  const TestFolder folder("grows");
  const std::string paragraph = std::string(1000, 'a') + "\n\n";
  std::string text;
  while (text.size() < 40 << 20) text += paragraph;
  folder.write("a.txt", "first");
  folder.write("b.txt.gz", gzip(text));
  folder.write("c.txt", "last");
  const auto documents = read({folder.path()});
  ASSERT_GT(documents.size(), 40u);
  EXPECT_EQ(documents.front().text, "first");
  EXPECT_EQ(documents.back().text, "last");
  size_t bytes = 0;
  for (const Document& document : documents) bytes += document.text.size();
  EXPECT_EQ(bytes, text.size() + 9);
}

// As pzstd and Hadoop write them.
TEST(Corpus, ZstandardMayBeginWithAFrameToSkip) {
  const TestFolder folder("skippable");
  const std::string skip("\x50\x2A\x4D\x18\x04\0\0\0size", 12);
  const auto documents =
      read({folder.write("a.txt.zst", skip + zstd("one ") + skip + zstd("two"))});
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].text, "one two");
}

TEST(Corpus, JsonLinesMayBeLatinOne) {
  const TestFolder folder("latin-lines");
  EXPECT_EQ(read({folder.write("a.jsonl", "{\"text\": \"caf\xE9 is a word\"}\n")})[0].text,
            "café is a word");
}

TEST(Corpus, WhatIsWrongIsAnError) {
  const TestFolder folder("wrong");
  EXPECT_NE(error_of({folder.path()}).find("empty"), std::string::npos);
  EXPECT_NE(error_of({folder.write("empty.txt", " \n")}).find("empty"), std::string::npos);
  EXPECT_NE(error_of({folder.path() / "missing"}).find("missing"), std::string::npos);
  const std::string packed = gzip(std::string(10000, 'a') + "end");
  const auto cut =
      folder.write("cut.txt.gz", std::string_view(packed).substr(0, packed.size() - 12));
  EXPECT_NE(error_of({cut}).find("cut.txt.gz"), std::string::npos);
  const std::string pressed =
      zstd("some text that is long enough to be cut somewhere in the middle");
  const auto short_file =
      folder.write("cut.txt.zst", std::string_view(pressed).substr(0, pressed.size() - 5));
  EXPECT_NE(error_of({short_file}).find("cut off"), std::string::npos);
  EXPECT_NE(error_of({folder.write("l.jsonl", "{\"text\":\"a\"}\n{oops\n")}).find("l.jsonl:2"),
            std::string::npos);
  EXPECT_NE(error_of({folder.write("s.jsonl", "{\"text\":\"\\ud800\"}\n")}).find("U+DC00"),
            std::string::npos);
  EXPECT_NE(error_of({folder.write("f.jsonl", "{\"content\":\"a\"}\n")}).find("\"text\""),
            std::string::npos);
}

TEST(Corpus, StopsAfterMaxBytes) {
  const TestFolder folder("most");
  for (int i = 0; i < 20; ++i)
    folder.write("f" + std::to_string(i) + ".txt", std::string(100, static_cast<char>('a' + i)));
  const auto documents = read({folder.path()}, {.max_bytes = 450});
  EXPECT_EQ(documents.size(), 5u);
}

}  // namespace
}  // namespace minke
