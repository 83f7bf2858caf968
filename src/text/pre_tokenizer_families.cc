#include "text/pre_tokenizer_families.h"

#include <fmt/format.h>

#include <vector>

namespace minke {
namespace {

// Letters with upper and lower case (and titlecase), as DeepSeek LLM's file spells them out.
constexpr std::string_view cased_letters =
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"
    "\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"
    "\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
    "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59"
    "\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc"
    "\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
    "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee"
    "\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
    "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943";

// Ideographs, most scripts from U+0800 on, Hangul.
constexpr const char* ideographs = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";

SplitPatterns deepseek_llm() {
  return {"[\r\n]",
          fmt::format("\\s?[{}]+", cased_letters),
          "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
          "\\s+$",
          ideographs,
          "\\p{N}"};
}

SplitPatterns deepseek_coder() {
  return {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", ideographs, "\\p{N}"};
}

// The pattern of Qwen2 and Llama 3, which differ in how many digits go together.
SplitPatterns contractions_and_words(std::string_view digits) {
  return {fmt::format(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{})"
                      R"(| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
                      digits)};
}

// llama.cpp's for files that name none.
SplitPatterns unnamed() {
  return {R"([\p{P}\$\+<=>\^~\|]+)", gpt2_pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"};
}

// Line ends may stand in a pattern as themselves or as \r and \n.
SplitPatterns spelled_alike(SplitPatterns patterns) {
  for (SplitPattern& pattern : patterns)
    for (const auto& [character, escape] : {std::pair("\r", "\\r"), std::pair("\n", "\\n")})
      for (size_t at; (at = pattern.regex.find(character)) != std::string::npos;)
        pattern.regex.replace(at, 1, escape);
  return patterns;
}

const std::vector<PreTokenizerFamily>& families() {
  const SplitPatterns qwen = contractions_and_words(R"(\p{N})");
  static const std::vector<PreTokenizerFamily> all = {
      {"deepseek-v3", deepseek_v3_patterns(), false, false, true},
      {"deepseek-llm", deepseek_llm(), false, false, true},
      {"deepseek-coder", deepseek_coder(), false, false, true},
      {"qwen2", qwen, true, false, false},
      {"deepseek-r1-qwen", qwen, true, false, true},
      {"llama-bpe", contractions_and_words(R"(\p{N}{1,3})"), false, true, true},
      {"smollm", {R"(\p{N})", gpt2_pattern}, false, false, false},
      {"gpt-2", {gpt2_pattern}, false, false, false},
      {"default", unnamed(), false, false, false},
      // What `minke tokenizer train --individual-digits` makes; no other program knows the name.
      {"minke-individual-digits", deepseek_v3_patterns(true), false, false, true},
  };
  return all;
}

}  // namespace

const PreTokenizerFamily* find_pre_tokenizer_family(std::string_view name) {
  for (const PreTokenizerFamily& family : families())
    if (family.name == name) return &family;
  return nullptr;
}

const PreTokenizerFamily* find_pre_tokenizer_family(const SplitPatterns& patterns, bool nfc,
                                                    bool ignore_merges) {
  const SplitPatterns wanted = spelled_alike(patterns);
  for (const PreTokenizerFamily& family : families())
    if (spelled_alike(family.patterns) == wanted && family.nfc == nfc &&
        family.ignore_merges == ignore_merges)
      return &family;
  return nullptr;
}

std::string pre_tokenizer_family_names() {
  std::string names;
  for (const PreTokenizerFamily& family : families())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", family.name);
  return names;
}

}  // namespace minke
