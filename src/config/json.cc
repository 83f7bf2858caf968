#include "config/json.h"

#include <array>

#include "base/error.h"
#include "config/sorted_json.h"

namespace minke {
namespace {

// Before anything is built: how deep the text is, and how many keys its objects have. (The parser's
// own callback would walk over all siblings after each object.)
void check_shape(std::string_view text, std::string_view where, int64_t most_keys) {
  std::array<int64_t, max_json_depth + 1> keys{};  // of the open object at each depth
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      i += c == '\\';
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > max_json_depth)
        fail_usage("{}: JSON nested deeper than {} levels", where, max_json_depth);
      keys[depth] = 0;
    } else if (c == '}' || c == ']') {
      depth -= depth > 0;
    } else if (c == ':' && ++keys[depth] > most_keys) {
      fail_usage("{}: a JSON object with more than {} keys", where, most_keys);
    }
  }
}

template <typename Json>
Json parse(std::string_view text, std::string_view where) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    const std::string_view what =
        e.what();  // "[json.exception.parse_error.101] parse error at ..."
    const size_t begin = what.find("] ");
    fail_usage("{}: not valid JSON: {}", where,
               begin == std::string_view::npos ? what : what.substr(begin + 2));
  }
}

}  // namespace

nlohmann::ordered_json parse_json(std::string_view text, std::string_view where) {
  constexpr int64_t most_keys = 5'000;  // each insertion walks over those before it
  check_shape(text, where, most_keys);
  return parse<nlohmann::ordered_json>(text, where);
}

nlohmann::json parse_sorted_json(std::string_view text, std::string_view where) {
  check_shape(text, where, INT64_MAX);
  return parse<nlohmann::json>(text, where);
}

std::string shown(const nlohmann::json& value) {
  constexpr size_t longest = 80;
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() <= longest) return text;
  size_t end = longest;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;  // whole characters
  return text.substr(0, end) + "...";
}

}  // namespace minke
