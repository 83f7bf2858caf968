#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_file.h"

namespace minke {
namespace {

using json = nlohmann::ordered_json;

json added_json(const TokenizerDefinition& definition) {
  json tokens = json::array();
  for (const AddedToken& token : definition.added)
    tokens.push_back({{"id", token.id},
                      {"content", token.content},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", token.normalized},
                      {"special", token.special}});
  return tokens;
}

json pre_tokenizer_json(const TokenizerDefinition& definition) {
  json steps = json::array();
  bool prefix_space = false;
  for (const SplitPattern& pattern : definition.patterns) {
    prefix_space = pattern.prefix_space;
    if (prefix_space) break;  // the step of ByteLevel itself, always the last one
    steps.push_back(
        {{"type", "Split"},
         {"pattern", {{"Regex", pattern.regex}}},
         {"behavior", pattern.keep_matches && pattern.keep_rest ? "Isolated" : "Removed"},
         {"invert", !pattern.keep_rest}});
  }
  steps.push_back(
      {{"type", "ByteLevel"},
       {"add_prefix_space", prefix_space},
       {"trim_offsets", true},
       {"use_regex", prefix_space && definition.patterns.back().regex == gpt2_pattern}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// Added tokens behind the last ordinary one stay out of the model's vocabulary, as in DeepSeek-V3's
// file: the libraries number them on from its size. Those before must be in it to keep their ids.
nlohmann::json model_json(const TokenizerDefinition& definition) {
  std::unordered_set<int32_t> added;
  for (const AddedToken& token : definition.added) added.insert(token.id);
  auto count = static_cast<int32_t>(definition.tokens.size());
  while (count > 0 && added.contains(count - 1)) --count;
  auto vocabulary = nlohmann::json::object();
  for (int32_t id = 0; id < count; ++id)
    if (const std::string& bytes = definition.tokens[id]; !bytes.empty())
      vocabulary[added.contains(id) ? bytes : to_byte_alphabet(bytes)] = id;
  auto merges = nlohmann::json::array();
  for (const BpeMerge& merge : definition.merges)
    merges.push_back(to_byte_alphabet(definition.tokens[merge.left]) + " " +
                     to_byte_alphabet(definition.tokens[merge.right]));
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", definition.ignore_merges},
          {"vocab", vocabulary},
          {"merges", merges}};
}

json bos_template(const TokenizerDefinition& definition) {
  const std::string& bos = definition.tokens[*definition.bos];
  const json token = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const auto sequence = [](const char* name, int type) -> json {
    return {{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  const json special = {{"id", bos}, {"ids", {*definition.bos}}, {"tokens", {bos}}};
  return {{"type", "TemplateProcessing"},
          {"single", {token, sequence("A", 0)}},
          {"pair", {token, sequence("A", 0), sequence("B", 1)}},
          {"special_tokens", {{bos, special}}}};
}

json config_json(const TokenizerDefinition& definition) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"add_bos_token", definition.adds_bos},
                 {"add_eos_token", false},
                 {"clean_up_tokenization_spaces", false}};
  const auto name = [&](const char* key, std::optional<int32_t> id) {
    if (id) config[key] = definition.tokens[*id];
  };
  name("bos_token", definition.bos);
  name("eos_token", definition.eos);
  name("pad_token", definition.pad);
  return config;
}

}  // namespace

void write_tokenizer(const TokenizerDefinition& definition, const fs::path& folder) {
  json file;
  file["version"] = "1.0";
  file["truncation"] = nullptr;
  file["padding"] = nullptr;
  file["added_tokens"] = added_json(definition);
  file["normalizer"] = definition.nfc ? json{{"type", "NFC"}} : json();
  file["pre_tokenizer"] = pre_tokenizer_json(definition);
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  file["post_processor"] =
      definition.adds_bos && definition.bos ? bos_template(definition) : byte_level;
  file["decoder"] = byte_level;
  // The vocabulary is built with the sorted kind of object: in the ordered kind every insertion
  // walks over all entries before it.
  std::string text = file.dump(1);
  text.resize(text.size() - 2);  // the closing "\n}"
  text += ",\n \"model\": " + model_json(definition).dump(0) + "\n}\n";
  write_file(folder / "tokenizer.json", text);
  write_file(folder / "tokenizer_config.json", config_json(definition).dump(2) + "\n");
}

}  // namespace minke
