#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/special_tokens.h"
#include "text/tokenizer_file.h"

namespace minke {
namespace {

using nlohmann::json;

// As parse_json, but into objects that are quick to look up: a vocabulary has 100,000 keys.
json parse_file(const fs::path& path) {
  static constexpr int max_depth = 64;
  return json::parse(read_file(path), [](int depth, json::parse_event_t, const json&) {
    if (depth > max_depth) fail("JSON nested deeper than {} levels", max_depth);
    return true;
  });
}

// The value of a key, or the default when it is missing or null.
template <typename T>
T value_or(const json& object, const char* key, T otherwise) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? otherwise : found->get<T>();
}

const json& member(const json& object, const char* key) {
  static const json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

std::string type_of(const json& node) { return node.at("type").get<std::string>(); }

std::string literal_pattern(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (static_cast<uint8_t>(c) < 0x80 && !std::isalnum(static_cast<uint8_t>(c))) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

class Reader {
 public:
  TokenizerDefinition read(const json& file) {
    const json& added = member(file, "added_tokens");
    const json& model = file.at("model");
    // Ids may have gaps, but no file gets memory for many more than it has tokens.
    max_id_ = 2 * (model.at("vocab").size() + added.size()) + 65536;
    read_model(model);
    for (const json& token : added) read_added(token);
    read_normalizer(member(file, "normalizer"));
    read_pre_tokenizer(member(file, "pre_tokenizer"));
    if (!byte_level_) fail("its pre-tokenizer is not byte-level; Minke reads only those that are");
    read_post_processor(member(file, "post_processor"));
    read_decoder(member(file, "decoder"));
    return std::move(definition_);
  }

 private:
  void read_model(const json& model) {
    const auto type = value_or<std::string>(model, "type", "BPE");
    if (type != "BPE") fail("its model is of the kind \"{}\"; Minke reads \"BPE\"", type);
    for (const char* key : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"})
      if (!value_or<std::string>(model, key, "").empty())
        fail("its model has a {}, which byte-level models do not need", key);
    if (value_or(model, "byte_fallback", false))
      fail("its model has byte_fallback: it is not byte-level");
    if (value_or(model, "dropout", 0.0) != 0)
      fail("its model has dropout, which Minke does not do");
    definition_.ignore_merges = value_or(model, "ignore_merges", false);
    for (const auto& [text, value] : model.at("vocab").items()) {
      const int32_t id = read_id(value);
      ids_[text] = id;
      set_token(id, from_byte_alphabet(text).value_or(text));
    }
    for (const json& merge : model.at("merges")) read_merge(merge);
  }

  int32_t read_id(const json& value) const {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= max_id_)
      fail("token id {} is out of range: expected 0 to {}", value.dump(), max_id_ - 1);
    return value.get<int32_t>();
  }

  // A merge is "left right" or ["left", "right"].
  void read_merge(const json& merge) {
    std::string left, right;
    if (merge.is_array()) {
      left = merge.at(0).get<std::string>(), right = merge.at(1).get<std::string>();
    } else {
      const auto text = merge.get<std::string>();
      const size_t space = std::min(text.find(' '), text.size());
      left = text.substr(0, space), right = text.substr(std::min(space + 1, text.size()));
    }
    definition_.merges.push_back({id_of(left), id_of(right), id_of(left + right)});
  }

  int32_t id_of(const std::string& text) const {
    const auto found = ids_.find(text);
    if (found == ids_.end())
      fail("a merge needs the token \"{}\", which is not in the vocabulary", text);
    return found->second;
  }

  void set_token(int32_t id, std::string bytes) {
    if (bytes.empty()) fail("the token with id {} is empty", id);
    auto& tokens = definition_.tokens;
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(id + 1);
    if (!tokens[id].empty()) fail("two tokens have the id {}", id);
    tokens[id] = std::move(bytes);
  }

  // An added token may stand in the vocabulary too.
  void read_added(const json& token) {
    const AddedToken added{read_id(token.at("id")), token.at("content").get<std::string>(),
                           value_or(token, "special", false), value_or(token, "normalized", false)};
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      if (value_or(token, key, false))
        fail("its added token \"{}\" asks for {}, which Minke does not do", added.content, key);
    const auto known = ids_.find(added.content);
    if (known != ids_.end() && known->second == added.id) definition_.tokens[added.id].clear();
    set_token(added.id, added.content);
    definition_.added.push_back(added);
  }

  void read_normalizer(const json& node) {
    if (node.is_null()) return;
    const std::string type = type_of(node);
    if (type == "Sequence") {
      for (const json& child : node.at("normalizers")) read_normalizer(child);
    } else if (type == "NFC") {
      definition_.nfc = true;
    } else {
      fail("its normalizer is of the kind \"{}\"; Minke has Sequence and NFC", type);
    }
  }

  void read_pre_tokenizer(const json& node) {
    if (node.is_null()) return;
    const std::string type = type_of(node);
    if (type == "Sequence") {
      for (const json& child : node.at("pretokenizers")) read_pre_tokenizer(child);
      return;
    }
    if (byte_level_) fail("its pre-tokenizer \"{}\" comes after ByteLevel", type);
    if (type == "Split") {
      read_split(node);
    } else if (type == "Digits") {
      definition_.patterns.emplace_back(value_or(node, "individual_digits", false) ? R"(\p{N})"
                                                                                   : R"(\p{N}+)");
    } else if (type == "ByteLevel") {
      read_byte_level(node);
    } else {
      fail("its pre-tokenizer is of the kind \"{}\"; Minke has Sequence, Split, Digits, ByteLevel",
           type);
    }
  }

  void read_byte_level(const json& node) {
    byte_level_ = true;
    const bool prefix_space = value_or(node, "add_prefix_space", true);
    const bool use_regex = value_or(node, "use_regex", true);
    if (!prefix_space && !use_regex) return;
    definition_.patterns.emplace_back(use_regex ? gpt2_pattern : "");
    definition_.patterns.back().prefix_space = prefix_space;
  }

  void read_split(const json& node) {
    const auto behavior = node.at("behavior").get<std::string>();
    const bool inverted = value_or(node, "invert", false);
    if (behavior != "Isolated" && behavior != "Removed")
      fail("its pre-tokenizer splits with behavior \"{}\"; Minke has \"Isolated\" and \"Removed\"",
           behavior);
    const json& pattern = node.at("pattern");
    SplitPattern split(pattern.contains("Regex")
                           ? pattern.at("Regex").get<std::string>()
                           : literal_pattern(pattern.at("String").get<std::string>()));
    split.keep_matches = behavior == "Isolated" || inverted;
    split.keep_rest = behavior == "Isolated" || !inverted;
    definition_.patterns.push_back(std::move(split));
  }

  void read_post_processor(const json& node) {
    if (node.is_null()) return;
    const std::string type = type_of(node);
    if (type == "Sequence") {
      for (const json& child : node.at("processors")) read_post_processor(child);
    } else if (type == "TemplateProcessing") {
      read_template(node);
    } else if (type != "ByteLevel") {
      fail(
          "its post-processor is of the kind \"{}\"; Minke has Sequence, ByteLevel and "
          "TemplateProcessing",
          type);
    }
  }

  // A template is the text, or a special token and the text: how files ask for BOS.
  void read_template(const json& node) {
    const json& single = node.at("single");
    const bool begins = !single.empty() && single.at(0).contains("SpecialToken");
    if (single.size() != (begins ? 2 : 1) || !single.at(begins ? 1 : 0).contains("Sequence"))
      fail("its post-processor's template is {}; Minke has BOS and the text", single.dump());
    if (!begins) return;
    const auto name = single.at(0).at("SpecialToken").at("id").get<std::string>();
    const json& ids = node.at("special_tokens").at(name).at("ids");
    const int32_t id = read_id(ids.at(0));
    if (ids.size() != 1 || static_cast<size_t>(id) >= definition_.tokens.size() ||
        definition_.tokens[id].empty())
      fail("its post-processor's token \"{}\" has the ids {}, which are no token", name,
           ids.dump());
    definition_.bos = id;
    definition_.adds_bos = true;
  }

  static void read_decoder(const json& node) {
    if (!node.is_null() && type_of(node) != "ByteLevel")
      fail("its decoder is of the kind \"{}\"; Minke has ByteLevel", type_of(node));
  }

  TokenizerDefinition definition_;
  std::unordered_map<std::string, int32_t> ids_;
  uint64_t max_id_ = 0;
  bool byte_level_ = false;
};

std::optional<int32_t> find_added(const TokenizerDefinition& definition, std::string_view content) {
  for (const AddedToken& token : definition.added)
    if (token.content == content) return token.id;
  return std::nullopt;
}

// The names of BOS, EOS and padding: the configuration's, or else DeepSeek's. Where it says whether
// BOS comes first, that counts, as it does for `transformers`.
void read_config(TokenizerDefinition& definition, const json& config) {
  const auto named = [&](const char* key, std::string_view otherwise) {
    const json& entry = member(config, key);
    const json& name = entry.is_object() ? member(entry, "content") : entry;
    return find_added(definition,
                      name.is_string() ? name.get<std::string>() : std::string(otherwise));
  };
  if (!definition.bos || !member(config, "bos_token").is_null())
    definition.bos = named("bos_token", special::bos);
  definition.eos = named("eos_token", special::eos);
  definition.pad = named("pad_token", special::pad);
  definition.adds_bos = definition.bos && value_or(config, "add_bos_token", definition.adds_bos);
}

}  // namespace

TokenizerDefinition read_tokenizer(const fs::path& path) {
  const bool is_folder = fs::is_directory(path);
  const fs::path file = is_folder ? path / "tokenizer.json" : path;
  const fs::path config_file = file.parent_path() / "tokenizer_config.json";
  fs::path current = file;
  try {
    TokenizerDefinition definition = Reader().read(parse_file(file));
    current = config_file;
    const bool has_config = is_folder && fs::exists(config_file);
    read_config(definition, has_config ? parse_file(config_file) : json::object());
    return definition;
  } catch (const json::exception& error) {
    fail("{} is not a tokenizer's file that Minke can read: {}", current.string(), error.what());
  } catch (const Error& error) {
    if (!fs::exists(file))
      fail("{} has no tokenizer.json; name the folder of a tokenizer", path.string());
    fail("{}: {}", current.string(), error.what());
  }
}

}  // namespace minke
