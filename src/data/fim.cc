#include "data/fim.h"

#include <algorithm>

#include "text/special_tokens.h"

namespace minke {
namespace {

size_t random_cut(std::string_view text, Random& random) {
  size_t cut = random.below(text.size() + 1);
  while (cut > 0 && cut < text.size() && (static_cast<uint8_t>(text[cut]) & 0xC0) == 0x80) --cut;
  return cut;
}

}  // namespace

FimParts cut_for_fim(std::string_view text, Random& random) {
  const size_t one = random_cut(text, random), other = random_cut(text, random);
  const auto [begin, end] = std::minmax(one, other);
  return {text.substr(0, begin), text.substr(begin, end - begin), text.substr(end)};
}

std::vector<int32_t> encode_fim(const FimParts& parts, const Tokenizer& tokenizer,
                                bool parse_special) {
  std::vector<int32_t> ids;
  const auto append = [&](std::string_view mark, std::string_view text) {
    ids.push_back(tokenizer.require_special(mark));
    const std::vector<int32_t> part = tokenizer.encode(text, {.parse_special = parse_special});
    ids.insert(ids.end(), part.begin(), part.end());
  };
  append(special::fim_begin, parts.prefix);
  append(special::fim_hole, parts.suffix);
  append(special::fim_end, parts.middle);
  return ids;
}

}  // namespace minke
