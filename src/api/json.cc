#include "api/json.h"

#include <cmath>

#include "api/error.h"
#include "config/json.h"
#include "text/utf8.h"

namespace minke {
namespace {

constexpr int max_keys = 1000;  // of one object: looking a key up takes time in proportion

// Refuses what is too deep or too wide while it is parsed.
class ParseLimits {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json&) {
    if (depth > max_json_depth)
      refuse_form("", "JSON nested deeper than {} levels", max_json_depth);
    if (event == Json::parse_event_t::object_start) keys_[depth] = 0;
    if (event == Json::parse_event_t::key && ++keys_[depth - 1] > max_keys)
      refuse_form("", "a JSON object with more than {} keys", max_keys);
    return true;
  }

 private:
  int keys_[max_json_depth + 1] = {};  // so far, of the open object at each depth
};

}  // namespace

Json parse_body(std::string_view text) {
  Json body;
  try {
    body = Json::parse(text, ParseLimits());
  } catch (const nlohmann::json::exception& error) {
    const std::string_view what = error.what();  // "[json.exception...] parse error at ..."
    const size_t begin = what.find("] ");
    const std::string message(begin == std::string_view::npos ? what : what.substr(begin + 2));
    // The message repeats what was read, which may be long and no UTF-8.
    constexpr size_t longest = 200;
    refuse_form("", "the body is not valid JSON: {}", repair_utf8(message.substr(0, longest)));
  }
  if (!body.is_object()) refuse_form("", "the body is no JSON object");
  return body;
}

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void append_json_string(std::string& out, std::string_view text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
  });
  if (is_plain)
    out.append(1, '"').append(text).append(1, '"');
  else
    out += to_text(Json(text));
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object()) refuse_form(path_, "{} is {}, no object", path_, shown(object));
}

std::string Fields::path(const char* name) const {
  return path_.empty() ? name : path_ + "." + name;
}

const Json* Fields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json& Fields::require(const char* name) const {
  const Json* value = find(name);
  if (!value) refuse_form(path(name), "{} is missing", path(name));
  return *value;
}

std::optional<double> Fields::number(const char* name, double least, double most) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number())
    refuse_form(path(name), "{} is {}, no number", path(name), shown(*value));
  const double number = value->get<double>();
  if (!(number >= least && number <= most))
    refuse_value(path(name), "{} is {}; expected {} to {}", path(name), shown(*value), least, most);
  return number;
}

std::optional<int64_t> Fields::integer(const char* name, int64_t least, int64_t most) const {
  const auto value = number(name, static_cast<double>(least), static_cast<double>(most));
  if (!value) return std::nullopt;
  if (std::floor(*value) != *value)
    refuse_form(path(name), "{} is {}, no whole number", path(name), *value);
  const Json& json = *find(name);
  return json.is_number_integer() ? json.get<int64_t>() : static_cast<int64_t>(*value);
}

std::optional<bool> Fields::boolean(const char* name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_boolean())
    refuse_form(path(name), "{} is {}, neither true nor false", path(name), shown(*value));
  return value->get<bool>();
}

std::optional<std::string> Fields::string(const char* name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_string())
    refuse_form(path(name), "{} is {}, no string", path(name), shown(*value));
  return value->get<std::string>();
}

std::string Fields::required_string(const char* name) const {
  require(name);
  return *string(name);
}

const Json* Fields::list(const char* name) const {
  const Json* value = find(name);
  if (value && !value->is_array())
    refuse_form(path(name), "{} is {}, no list", path(name), shown(*value));
  return value;
}

const Json* Fields::object(const char* name) const {
  const Json* value = find(name);
  if (value && !value->is_object())
    refuse_form(path(name), "{} is {}, no object", path(name), shown(*value));
  return value;
}

}  // namespace minke
