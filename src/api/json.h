#pragma once
// JSON from strangers: parsed within limits, its fields read with errors that name them.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace minke {

using Json = nlohmann::ordered_json;

// Parses a request's body: an object, 64 levels deep and with 1,000 keys in an object at most.
// Anything else is an ApiError of 400.
Json parse_body(std::string_view text);

// One line; bytes that are no UTF-8 come out as U+FFFD.
std::string to_text(const Json& value);

// Appends text as a JSON string, quotes included. Like to_text(), faster.
void append_json_string(std::string& out, std::string_view text);

// The fields of an object. A field that is null counts as absent. Wrong types are ApiErrors of 400,
// values out of range of 422; both name the field with its path. Keeps a reference to the object.
class Fields {
 public:
  // path: of the object in the body, "" for the body itself.
  Fields(const Json& object, std::string path);

  const Json* find(const char* name) const;
  const Json& require(const char* name) const;
  std::string path(const char* name) const;

  std::optional<double> number(const char* name, double least, double most) const;
  std::optional<int64_t> integer(const char* name, int64_t least, int64_t most) const;
  std::optional<bool> boolean(const char* name) const;
  std::optional<std::string> string(const char* name) const;
  std::string required_string(const char* name) const;
  // nullptr if absent.
  const Json* list(const char* name) const;
  const Json* object(const char* name) const;

 private:
  const Json& object_;
  std::string path_;
};

}  // namespace minke
