#include "config/json.h"

#include "base/error.h"

namespace minke {

nlohmann::ordered_json parse_json(std::string_view text, std::string_view where) {
  const auto check_depth = [&](int depth, nlohmann::ordered_json::parse_event_t,
                               const nlohmann::ordered_json&) {
    if (depth > max_json_depth)
      fail_usage("{}: JSON nested deeper than {} levels", where, max_json_depth);
    return true;
  };
  try {
    return nlohmann::ordered_json::parse(text, check_depth);
  } catch (const nlohmann::json::exception& e) {
    const std::string_view what =
        e.what();  // "[json.exception.parse_error.101] parse error at ..."
    const size_t begin = what.find("] ");
    fail_usage("{}: not valid JSON: {}", where,
               begin == std::string_view::npos ? what : what.substr(begin + 2));
  }
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
