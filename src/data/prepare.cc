#include "data/prepare.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/threads.h"
#include "data/corpus_files.h"
#include "data/deduplicate.h"
#include "data/fim.h"
#include "data/shard.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

namespace minke {
namespace {

enum class Fate : uint8_t { train, validation, duplicate };

void check(const PrepareOptions& options) {
  const auto in_range = [](const char* name, double value, double most) {
    if (!(value >= 0 && value <= most))
      fail_usage("{} is {}, it must be between 0 and {}", name, value, most);
  };
  in_range("the validation fraction", options.validation_fraction, 0.5);
  in_range("the FIM rate", options.fim_rate, 1);
  in_range("the similarity of near duplicates", options.near_duplicates, 1);
  if (options.shard_tokens < 1)
    fail_usage("a shard of {} tokens is too small", options.shard_tokens);
  // The output folder is replaced, so it must not be anything else, such as the corpus.
  const fs::path& output = options.output;
  const bool empty = fs::is_directory(output) && fs::is_empty(output);
  if (fs::exists(output) && !empty && !fs::exists(output / "index.json"))
    fail_usage("{} is there already and is no data set; choose another output folder",
               output.string());
  for (const fs::path& input : options.inputs)
    if (fs::is_directory(input) && is_searched(input, output))
      fail_usage(
          "the output {} lies in the input {}: its validation.txt would be read as text to train "
          "on; choose a folder elsewhere, or one whose name begins with an underscore",
          output.string(), input.string());
}

class Preparation {
 public:
  explicit Preparation(const PrepareOptions& options)
      : options_(options), tokenizer_(Tokenizer::load(options.tokenizer)) {
    if (!tokenizer_.eos_id())
      fail("the tokenizer in {} names no end-of-sentence token, which ends each document",
           options.tokenizer.string());
    if (options.fim_rate > 0)
      for (const std::string_view token : {special::fim_begin, special::fim_hole, special::fim_end})
        tokenizer_.require_special(token);
  }

  DatasetIndex run() {
    describe();
    decide();
    AtomicFolder folder(options_.output);
    write_shards(folder.path());
    copy_tokenizer(folder.path());
    write_index(index_, folder.path());
    folder.commit();
    return std::move(index_);
  }

 private:
  void describe() {
    index_.vocab_size = tokenizer_.vocab_size();
    index_.eos_id = *tokenizer_.eos_id();
    index_.token_width = index_.vocab_size <= 1 << 16 ? 2 : 4;
    index_.tokenizer_sha256 = sha256_file(options_.tokenizer / "tokenizer.json");
    const TokenizerDefinition definition = read_tokenizer(options_.tokenizer);
    for (const std::string& token : definition.tokens)
      index_.token_bytes.push_back(static_cast<int32_t>(token.size()));
    for (const AddedToken& token : definition.added) index_.token_bytes[token.id] = 0;
    index_.validation_fraction = options_.validation_fraction;
    index_.fim_rate = options_.fim_rate;
    index_.near_duplicates = options_.near_duplicates;
    index_.seed = options_.seed;
  }

  // The first pass: what becomes of each document, in the order of reading.
  void decide() {
    const double start = now_seconds();
    Deduplicator seen(options_.near_duplicates);
    std::vector<uint64_t> hashes;
    summary_ = read_corpus(options_.inputs, options_.corpus, [&](std::vector<Document>& batch) {
      std::vector<ContentHash> content(batch.size());
      std::vector<MinHash> signatures(batch.size());
      parallel_for(static_cast<int64_t>(batch.size()), [&](int64_t i) {
        content[i] = content_hash(batch[i].text);
        if (options_.near_duplicates > 0) signatures[i] = min_hash(batch[i].text);
      });
      for (size_t i = 0; i < batch.size(); ++i) {
        const auto verdict = seen.add(content[i], signatures[i]);
        index_.exact_duplicates += verdict == Deduplicator::Verdict::exact_duplicate;
        index_.near_duplicates_found += verdict == Deduplicator::Verdict::near_duplicate;
        const bool is_new = verdict == Deduplicator::Verdict::is_new;
        fates_.push_back(is_new ? split_of(content[i].high) : Fate::duplicate);
        hashes.push_back(content[i].high);
      }
    });
    index_.documents_read = summary_.documents;
    ensure_validation(hashes);
    info("read {} documents, {:.1f} MB, in {:.1f} s: {} exact and {} near duplicates left out",
         summary_.documents, static_cast<double>(summary_.bytes) / 1e6, now_seconds() - start,
         index_.exact_duplicates, index_.near_duplicates_found);
  }

  Fate split_of(uint64_t hash) const {
    return std::ldexp(static_cast<double>(hash), -64) < options_.validation_fraction
               ? Fate::validation
               : Fate::train;
  }

  // A small corpus may have no document with a hash that is low enough: the lowest is taken then.
  void ensure_validation(const std::vector<uint64_t>& hashes) {
    if (options_.validation_fraction == 0) return;
    size_t kept = 0, lowest = hashes.size();
    for (size_t i = 0; i < hashes.size(); ++i) {
      if (fates_[i] == Fate::validation) return;
      if (fates_[i] == Fate::duplicate) continue;
      ++kept;
      if (lowest == hashes.size() || hashes[i] < hashes[lowest]) lowest = i;
    }
    if (kept > 1)
      fates_[lowest] = Fate::validation;
    else
      warn("there is only one document, so there is no text for validation");
  }

  // The second pass: tokens.
  void write_shards(const fs::path& folder) {
    const double start = now_seconds();
    ShardWriter train(folder, "train", index_.token_width, options_.shard_tokens);
    ShardWriter validation(folder, "validation", index_.token_width, options_.shard_tokens);
    AtomicFile validation_text(folder / "validation.txt");
    size_t next = 0;
    const CorpusSummary again =
        read_corpus(options_.inputs, options_.corpus, [&](std::vector<Document>& batch) {
          check_unchanged(next + batch.size() <= fates_.size());
          const std::vector<Encoded> encoded = encode(batch, next);
          for (size_t i = 0; i < batch.size(); ++i) {
            const Fate fate = fates_[next + i];
            const auto bytes = static_cast<int64_t>(batch[i].text.size());
            if (fate == Fate::duplicate) continue;
            (fate == Fate::train ? train : validation).add(encoded[i].ids, bytes);
            index_.fim_documents += encoded[i].is_fim;
            if (fate == Fate::validation) validation_text.write(batch[i].text);
          }
          next += batch.size();
        });
    check_unchanged(again.documents == summary_.documents && again.bytes == summary_.bytes);
    validation_text.commit();
    index_.train = train.finish();
    index_.validation = validation.finish();
    info("wrote {} training and {} validation tokens in {:.1f} s", index_.train.tokens,
         index_.validation.tokens, now_seconds() - start);
  }

  static void check_unchanged(bool unchanged) {
    if (!unchanged) fail("the corpus changed while it was being read; start again when it rests");
  }

  struct Encoded {
    std::vector<int32_t> ids;
    bool is_fim = false;
  };

  std::vector<Encoded> encode(const std::vector<Document>& batch, size_t first) const {
    std::vector<Encoded> encoded(batch.size());
    parallel_for(static_cast<int64_t>(batch.size()), [&](int64_t i) {
      const Fate fate = fates_[first + static_cast<size_t>(i)];
      if (fate != Fate::duplicate) encoded[i] = encode_document(batch[i].text, fate == Fate::train);
    });
    return encoded;
  }

  // Special tokens that a text mentions are plain text, unless the text is trusted.
  Encoded encode_document(const std::string& text, bool may_be_fim) const {
    Random random(options_.seed, hash_name(text));
    Encoded encoded;
    encoded.is_fim = may_be_fim && random.uniform() < options_.fim_rate;
    encoded.ids = encoded.is_fim
                      ? encode_fim(cut_for_fim(text, random), tokenizer_, options_.parse_special)
                      : tokenizer_.encode(text, {.parse_special = options_.parse_special});
    if (tokenizer_.adds_bos()) encoded.ids.insert(encoded.ids.begin(), *tokenizer_.bos_id());
    encoded.ids.push_back(index_.eos_id);
    return encoded;
  }

  void copy_tokenizer(const fs::path& folder) const {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      if (fs::exists(options_.tokenizer / name))
        write_file(folder / name, read_file(options_.tokenizer / name));
  }

  const PrepareOptions& options_;
  Tokenizer tokenizer_;
  DatasetIndex index_;
  CorpusSummary summary_;
  std::vector<Fate> fates_;  // of each document, in the order of reading
};

}  // namespace

DatasetIndex prepare_data(const PrepareOptions& options) {
  check(options);
  return Preparation(options).run();
}

}  // namespace minke
