#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include "data/extract.h"
#include "text/utf8.h"

namespace minke {
namespace {

// The names of U+00A0 to U+00FF, in order.
constexpr std::string_view latin_names[] = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",
    "copy",   "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn",
    "sup2",   "sup3",   "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",
    "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde",
    "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave",
    "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde",
    "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",
    "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil",
    "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",   "eth",
    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml"};

const std::unordered_map<std::string_view, char32_t>& names() {
  static const auto table = [] {
    std::unordered_map<std::string_view, char32_t> entries = {
        {"lt", '<'},        {"gt", '>'},        {"amp", '&'},       {"quot", '"'},
        {"apos", '\''},     {"OElig", 0x152},   {"oelig", 0x153},   {"Scaron", 0x160},
        {"scaron", 0x161},  {"fnof", 0x192},    {"circ", 0x2C6},    {"tilde", 0x2DC},
        {"ensp", ' '},      {"emsp", ' '},      {"thinsp", ' '},    {"ndash", 0x2013},
        {"mdash", 0x2014},  {"lsquo", 0x2018},  {"rsquo", 0x2019},  {"sbquo", 0x201A},
        {"ldquo", 0x201C},  {"rdquo", 0x201D},  {"bdquo", 0x201E},  {"dagger", 0x2020},
        {"Dagger", 0x2021}, {"bull", 0x2022},   {"hellip", 0x2026}, {"prime", 0x2032},
        {"Prime", 0x2033},  {"lsaquo", 0x2039}, {"rsaquo", 0x203A}, {"euro", 0x20AC},
        {"trade", 0x2122},  {"larr", 0x2190},   {"uarr", 0x2191},   {"rarr", 0x2192},
        {"darr", 0x2193},   {"harr", 0x2194},   {"rArr", 0x21D2},   {"hArr", 0x21D4},
        {"forall", 0x2200}, {"part", 0x2202},   {"exist", 0x2203},  {"empty", 0x2205},
        {"isin", 0x2208},   {"prod", 0x220F},   {"sum", 0x2211},    {"minus", 0x2212},
        {"radic", 0x221A},  {"infin", 0x221E},  {"and", 0x2227},    {"or", 0x2228},
        {"cap", 0x2229},    {"cup", 0x222A},    {"int", 0x222B},    {"asymp", 0x2248},
        {"ne", 0x2260},     {"equiv", 0x2261},  {"le", 0x2264},     {"ge", 0x2265},
        {"sub", 0x2282},    {"sup", 0x2283},    {"alpha", 0x3B1},   {"beta", 0x3B2},
        {"gamma", 0x3B3},   {"delta", 0x3B4},   {"epsilon", 0x3B5}, {"theta", 0x3B8},
        {"lambda", 0x3BB},  {"mu", 0x3BC},      {"pi", 0x3C0},      {"rho", 0x3C1},
        {"sigma", 0x3C3},   {"tau", 0x3C4},     {"phi", 0x3C6},     {"omega", 0x3C9},
        {"Delta", 0x394},   {"Sigma", 0x3A3},   {"Omega", 0x3A9}};
    char32_t next = 0xA0;
    for (const std::string_view name : latin_names) entries[name] = next++;
    return entries;
  }();
  return table;
}

// The code point that a reference (without & and ;) stands for; 0 for none.
char32_t code_point_of(std::string_view reference) {
  if (!reference.starts_with('#')) {
    const auto found = names().find(reference);
    return found == names().end() ? 0 : found->second;
  }
  const bool hexadecimal = reference.size() > 1 && (reference[1] | 0x20) == 'x';
  reference.remove_prefix(hexadecimal ? 2 : 1);
  uint32_t number = 0;
  const char* end = reference.data() + reference.size();
  const auto result = std::from_chars(reference.data(), end, number, hexadecimal ? 16 : 10);
  return result.ec == std::errc() && result.ptr == end ? number : 0;
}

}  // namespace

std::string decode_entities(std::string_view text) {
  constexpr size_t longest_reference = 10;
  constexpr char32_t no_break_space = 0xA0, soft_hyphen = 0xAD;
  std::string decoded;
  for (size_t at = 0; at < text.size();) {
    const size_t mark = std::min(text.find('&', at), text.size());
    decoded += text.substr(at, mark - at);
    at = mark;
    if (at == text.size()) break;
    const size_t length = text.substr(at, longest_reference + 2).find(';');
    const char32_t c =
        length == std::string_view::npos ? 0 : code_point_of(text.substr(at + 1, length - 1));
    if (c == 0)
      decoded += '&';
    else if (c != soft_hyphen)
      append_utf8(decoded, c == no_break_space ? U' ' : c);
    at += c == 0 ? 1 : length + 1;
  }
  return decoded;
}

}  // namespace minke
