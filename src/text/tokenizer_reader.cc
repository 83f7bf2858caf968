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

// What ByteLevel's own use_regex stands for (GPT-2's pattern).
constexpr const char* byte_level_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

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
    read_model(member(file, "model"));
    for (const json& token : member(file, "added_tokens")) read_added(token);
    read_normalizer(member(file, "normalizer"));
    read_pre_tokenizer(member(file, "pre_tokenizer"));
    if (!byte_level_) fail("its pre-tokenizer is not byte-level; Minke reads only those that are");
    read_post_processor(member(file, "post_processor"));
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
    for (const auto& [text, id] : model.at("vocab").items()) {
      ids_[text] = id.get<int32_t>();
      set_token(id.get<int32_t>(), from_byte_alphabet(text).value_or(text));
    }
    for (const json& merge : model.at("merges")) read_merge(merge);
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
    constexpr int32_t limit = 1 << 24;
    if (id < 0 || id >= limit) fail("token id {} is out of range", id);
    if (bytes.empty()) fail("the token with id {} is empty", id);
    auto& tokens = definition_.tokens;
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(id + 1);
    tokens[id] = std::move(bytes);
  }

  void read_added(const json& token) {
    const AddedToken added{token.at("id").get<int32_t>(), token.at("content").get<std::string>(),
                           value_or(token, "special", false), value_or(token, "normalized", false)};
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      if (value_or(token, key, false))
        fail("its added token \"{}\" asks for {}, which Minke does not do", added.content, key);
    set_token(added.id, added.content);
    definition_.added.push_back(added);
  }

  void read_normalizer(const json& node) {
    if (node.is_null()) return;
    const auto type = node.at("type").get<std::string>();
    if (type == "Sequence") {
      for (const json& child : node.at("normalizers")) read_normalizer(child);
    } else if (type == "NFC") {
      definition_.nfc = true;
    } else {
      fail("its normalizer is of the kind \"{}\"; Minke has NFC", type);
    }
  }

  void read_pre_tokenizer(const json& node) {
    if (node.is_null()) return;
    const auto type = node.at("type").get<std::string>();
    if (type == "Sequence") {
      for (const json& child : node.at("pretokenizers")) read_pre_tokenizer(child);
      return;
    }
    if (byte_level_) fail("its pre-tokenizer \"{}\" comes after ByteLevel", type);
    if (type == "Split") {
      read_split(node);
    } else if (type == "Digits") {
      definition_.patterns.push_back(value_or(node, "individual_digits", false) ? R"(\p{N})"
                                                                                : R"(\p{N}+)");
    } else if (type == "ByteLevel") {
      if (value_or(node, "add_prefix_space", true))
        fail("its pre-tokenizer adds a space in front (add_prefix_space), which Minke does not do");
      if (value_or(node, "use_regex", true)) definition_.patterns.push_back(byte_level_pattern);
      byte_level_ = true;
    } else {
      fail("its pre-tokenizer is of the kind \"{}\"; Minke has Sequence, Split, Digits, ByteLevel",
           type);
    }
  }

  void read_split(const json& node) {
    const auto behavior = node.at("behavior").get<std::string>();
    if (behavior != "Isolated" || value_or(node, "invert", false))
      fail("its pre-tokenizer splits with behavior \"{}\"{}; Minke has \"Isolated\"", behavior,
           value_or(node, "invert", false) ? " and invert" : "");
    const json& pattern = node.at("pattern");
    definition_.patterns.push_back(pattern.contains("Regex")
                                       ? pattern.at("Regex").get<std::string>()
                                       : literal_pattern(pattern.at("String").get<std::string>()));
  }

  // A template that begins with a special token is how files ask for BOS.
  void read_post_processor(const json& node) {
    if (node.is_null()) return;
    const auto type = node.at("type").get<std::string>();
    if (type == "Sequence")
      for (const json& child : node.at("processors")) read_post_processor(child);
    if (type != "TemplateProcessing" || node.at("single").empty()) return;
    const json& first = node.at("single").at(0);
    if (!first.contains("SpecialToken")) return;
    const json& name = first.at("SpecialToken").at("id");
    definition_.bos = node.at("special_tokens").at(name.get<std::string>()).at("ids").at(0);
    definition_.adds_bos = true;
  }

  TokenizerDefinition definition_;
  std::unordered_map<std::string, int32_t> ids_;
  bool byte_level_ = false;
};

std::optional<int32_t> find_added(const TokenizerDefinition& definition, std::string_view content) {
  for (const AddedToken& token : definition.added)
    if (token.content == content) return token.id;
  return std::nullopt;
}

// The names of BOS, EOS and padding: the configuration's, or else DeepSeek's.
void name_tokens(TokenizerDefinition& definition, const json& config) {
  const auto named = [&](const char* key, std::string_view otherwise) {
    const json& entry = member(config, key);
    const json& name = entry.is_object() ? member(entry, "content") : entry;
    return find_added(definition,
                      name.is_string() ? name.get<std::string>() : std::string(otherwise));
  };
  if (!definition.bos || config.contains("bos_token"))
    definition.bos = named("bos_token", special::bos);
  definition.eos = named("eos_token", special::eos);
  definition.pad = named("pad_token", special::pad);
}

}  // namespace

TokenizerDefinition read_tokenizer(const fs::path& path) {
  const bool is_folder = fs::is_directory(path);
  const fs::path file = is_folder ? path / "tokenizer.json" : path;
  const fs::path config_file = file.parent_path() / "tokenizer_config.json";
  fs::path current = file;
  try {
    TokenizerDefinition definition = Reader().read(json::parse(read_file(file)));
    current = config_file;
    const bool has_config = is_folder && fs::exists(config_file);
    name_tokens(definition, has_config ? json::parse(read_file(config_file)) : json::object());
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
