#include "data/dataset_index.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace minke {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* format_name = "minke-shards";
constexpr int format_version = 1;

json split_json(const SplitEntry& split) {
  json shards = json::array();
  for (const ShardEntry& shard : split.shards)
    shards.push_back({{"file", shard.file},
                      {"tokens", shard.tokens},
                      {"documents", shard.documents},
                      {"sha256", shard.sha256}});
  return {{"tokens", split.tokens},
          {"documents", split.documents},
          {"text_bytes", split.text_bytes},
          {"shards", shards}};
}

SplitEntry split_from(const json& from) {
  SplitEntry split{from.at("tokens"), from.at("documents"), from.at("text_bytes"), {}};
  for (const json& shard : from.at("shards"))
    split.shards.push_back(
        {shard.at("file"), shard.at("tokens"), shard.at("documents"), shard.at("sha256")});
  return split;
}

json index_json(const DatasetIndex& index) {
  return {{"format", format_name},
          {"version", format_version},
          {"vocab_size", index.vocab_size},
          {"eos_id", index.eos_id},
          {"token_width", index.token_width},
          {"tokenizer_sha256", index.tokenizer_sha256},
          {"settings",
           {{"validation_fraction", index.validation_fraction},
            {"fim_rate", index.fim_rate},
            {"near_duplicates", index.near_duplicates},
            {"seed", index.seed}}},
          {"corpus",
           {{"documents_read", index.documents_read},
            {"exact_duplicates", index.exact_duplicates},
            {"near_duplicates", index.near_duplicates_found},
            {"fim_documents", index.fim_documents}}},
          {"splits",
           {{"train", split_json(index.train)}, {"validation", split_json(index.validation)}}}};
}

DatasetIndex index_from(const json& from) {
  DatasetIndex index;
  if (from.at("format") != format_name || from.at("version") != format_version)
    fail("it is not a \"{}\" index of version {}", format_name, format_version);
  index.vocab_size = from.at("vocab_size");
  index.eos_id = from.at("eos_id");
  index.token_width = from.at("token_width");
  index.tokenizer_sha256 = from.at("tokenizer_sha256");
  index.token_bytes = from.at("token_bytes").get<std::vector<int32_t>>();
  const json& settings = from.at("settings");
  index.validation_fraction = settings.at("validation_fraction");
  index.fim_rate = settings.at("fim_rate");
  index.near_duplicates = settings.at("near_duplicates");
  index.seed = settings.at("seed");
  const json& corpus = from.at("corpus");
  index.documents_read = corpus.at("documents_read");
  index.exact_duplicates = corpus.at("exact_duplicates");
  index.near_duplicates_found = corpus.at("near_duplicates");
  index.fim_documents = corpus.at("fim_documents");
  index.train = split_from(from.at("splits").at("train"));
  index.validation = split_from(from.at("splits").at("validation"));
  if (index.token_width != 2 && index.token_width != 4)
    fail("its token_width is {}, not 2 or 4", index.token_width);
  if (index.token_bytes.size() != static_cast<size_t>(index.vocab_size))
    fail("it has token_bytes for {} ids, its vocab_size is {}", index.token_bytes.size(),
         index.vocab_size);
  return index;
}

}  // namespace

void write_index(const DatasetIndex& index, const fs::path& folder) {
  std::string text = index_json(index).dump(2);
  text.resize(text.size() - 2);  // the closing "\n}"; the long list stays on one line
  text += ",\n  \"token_bytes\": " + json(index.token_bytes).dump() + "\n}\n";
  write_file(folder / "index.json", text);
}

DatasetIndex read_index(const fs::path& folder) {
  const fs::path path = folder / "index.json";
  if (!fs::exists(path))
    fail("{} has no index.json: it is no data set; make one with `minke data prepare`",
         folder.string());
  try {
    return index_from(json::parse(read_file(path)));
  } catch (const json::exception& error) {
    fail("{} is damaged: {}; prepare the data again", path.string(), error.what());
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
}

std::string index_summary(const DatasetIndex& index) { return index_json(index).dump(2); }

}  // namespace minke
