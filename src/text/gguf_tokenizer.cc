#include "text/gguf_tokenizer.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizer_families.h"
#include "text/utf8.h"

namespace minke {
namespace {

// Kinds of tokens, as tokenizer.ggml.token_type has them (llama.cpp's llama_token_type).
enum TokenType : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5 };

class Reader {
 public:
  explicit Reader(const GgufReader& file) : file_(file) {}

  TokenizerDefinition read() {
    const auto model = file_.string("tokenizer.ggml.model");
    if (model != "gpt2")
      fail("{}: tokenizer.ggml.model is {}; Minke reads \"gpt2\", byte-level BPE", file_.path(),
           model ? fmt::format("\"{}\"", *model) : "missing");
    read_family();
    read_tokens();
    read_merges();
    read_ids();
    return std::move(definition_);
  }

 private:
  template <typename T>
  T needed(std::optional<T> value, const char* key) const {
    if (!value) fail("{}: {} is missing; the file has no whole tokenizer", file_.path(), key);
    return *std::move(value);
  }

  void read_family() {
    const auto name = file_.string("tokenizer.ggml.pre").value_or("default");
    const PreTokenizerFamily* family = find_pre_tokenizer_family(name);
    if (!family)
      fail("{}: its pre-tokenizer (tokenizer.ggml.pre) is \"{}\"; Minke has {}", file_.path(), name,
           pre_tokenizer_family_names());
    definition_.patterns = family->patterns;
    definition_.nfc = family->nfc;
    definition_.ignore_merges = family->ignore_merges;
    definition_.adds_bos = family->adds_bos;
  }

  void read_tokens() {
    constexpr const char* key = "tokenizer.ggml.tokens";
    const auto texts = needed(file_.strings(key), key);
    const auto types = file_.integers("tokenizer.ggml.token_type");
    if (types && types->size() != texts.size())
      fail("{}: {} token types for {} tokens", file_.path(), types->size(), texts.size());
    if (texts.size() > (1 << 24)) fail("{}: {} tokens are too many", file_.path(), texts.size());
    definition_.tokens.resize(texts.size());
    for (size_t id = 0; id < texts.size(); ++id)
      add_token(static_cast<int32_t>(id), std::string(texts[id]), types ? (*types)[id] : normal);
    // Rows of the embedding behind the last token, which files list as unused ones.
    while (!definition_.tokens.empty() && definition_.tokens.back().empty())
      definition_.tokens.pop_back();
  }

  void add_token(int32_t id, const std::string& text, int64_t type) {
    if (type == unused) return;
    if (text.empty()) fail("{}: the token with id {} is empty", file_.path(), id);
    ids_.emplace(text, id);
    if (type == control || type == user_defined) {
      if (valid_utf8_prefix(text) < text.size())
        fail("{}: the token with id {} is not valid UTF-8", file_.path(), id);
      definition_.added.push_back({id, text, type == control, false});
      definition_.tokens[id] = text;
    } else {
      definition_.tokens[id] = from_byte_alphabet(text).value_or(text);
    }
  }

  void read_merges() {
    constexpr const char* key = "tokenizer.ggml.merges";
    for (const std::string_view merge : needed(file_.strings(key), key)) {
      // A token's text may begin with a space in no byte-level alphabet, so the first one parts.
      const size_t space = merge.find(' ');
      if (space == std::string_view::npos)
        fail("{}: the merge \"{}\" is not two tokens", file_.path(), merge);
      const std::string left(merge.substr(0, space)), right(merge.substr(space + 1));
      definition_.merges.push_back({id_of(left), id_of(right), id_of(left + right)});
    }
  }

  int32_t id_of(const std::string& text) const {
    const auto found = ids_.find(text);
    if (found == ids_.end())
      fail("{}: a merge needs the token \"{}\", which is not in the vocabulary", file_.path(),
           text);
    return found->second;
  }

  std::optional<int32_t> token_id(const char* name) const {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    const auto id = file_.integer(key);
    if (!id || *id == 0xFFFFFFFF) return std::nullopt;  // GGML's "none"
    const auto count = static_cast<int64_t>(definition_.tokens.size());
    if (*id < 0 || *id >= count || definition_.tokens[*id].empty())
      fail("{}: {} is {}, which is none of the {} tokens", file_.path(), key, *id, count);
    return static_cast<int32_t>(*id);
  }

  void read_ids() {
    definition_.bos = token_id("bos");
    definition_.eos = token_id("eos");
    definition_.eot = token_id("eot");
    definition_.pad = token_id("padding");
    const auto adds_bos = file_.boolean("tokenizer.ggml.add_bos_token");
    definition_.adds_bos = definition_.bos && adds_bos.value_or(definition_.adds_bos);
  }

  const GgufReader& file_;
  TokenizerDefinition definition_;
  std::unordered_map<std::string, int32_t> ids_;  // by the text in the file
};

void add_vocabulary(const TokenizerDefinition& definition, int64_t vocabulary,
                    GgufMetadata& metadata) {
  const auto count = static_cast<size_t>(vocabulary);
  std::vector<std::string> texts(count);
  std::vector<int32_t> types(count, normal);
  for (size_t id = 0; id < count; ++id) {
    const bool used = id < definition.tokens.size() && !definition.tokens[id].empty();
    texts[id] = used ? to_byte_alphabet(definition.tokens[id]) : fmt::format("[PAD{}]", id);
    if (!used) types[id] = unused;
  }
  for (const AddedToken& token : definition.added) {
    texts[token.id] = token.content;
    types[token.id] = token.special ? control : user_defined;
  }
  metadata.add("tokenizer.ggml.tokens", texts);
  metadata.add("tokenizer.ggml.token_type", types);
}

}  // namespace

TokenizerDefinition read_gguf_tokenizer(const GgufReader& file) { return Reader(file).read(); }

Tokenizer load_gguf_tokenizer(const GgufReader& file) {
  const TokenizerDefinition definition = read_gguf_tokenizer(file);
  try {
    return Tokenizer(definition);
  } catch (const Error& error) {
    fail("{}: {}", file.path(), error.what());
  }
}

void add_gguf_tokenizer(const TokenizerDefinition& definition, int64_t vocabulary,
                        GgufMetadata& metadata) {
  const PreTokenizerFamily* family =
      find_pre_tokenizer_family(definition.patterns, definition.nfc, definition.ignore_merges);
  if (!family)
    fail("the tokenizer's pre-tokenizer has no name in GGUF files; Minke knows {}",
         pre_tokenizer_family_names());
  if (static_cast<size_t>(vocabulary) < definition.tokens.size())
    fail("the tokenizer has {} tokens, the model {} embedding rows; they do not belong together",
         definition.tokens.size(), vocabulary);
  metadata.add("tokenizer.ggml.model", "gpt2");
  metadata.add("tokenizer.ggml.pre", family->name);
  add_vocabulary(definition, vocabulary, metadata);
  std::vector<std::string> merges;
  for (const BpeMerge& merge : definition.merges)
    merges.push_back(to_byte_alphabet(definition.tokens[merge.left]) + " " +
                     to_byte_alphabet(definition.tokens[merge.right]));
  metadata.add("tokenizer.ggml.merges", merges);
  const auto add_id = [&](const char* name, std::optional<int32_t> id) {
    if (id)
      metadata.add(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint32_t>(*id));
  };
  add_id("bos", definition.bos);
  add_id("eos", definition.eos);
  add_id("eot", definition.eot);
  add_id("padding", definition.pad);
  metadata.add("tokenizer.ggml.add_bos_token", definition.adds_bos);
}

}  // namespace minke
