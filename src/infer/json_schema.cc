#include "infer/json_schema.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "config/json.h"
#include "infer/grammar_text.h"
#include "infer/json_scalars.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

// Rules that every JSON grammar may use. Surrogates are left out of \u, as half a pair is no text;
// such characters come as themselves.
constexpr std::string_view common_rules = R"(
space ::= (" " | "\n" [ \t]{0,20})?
hex ::= [0-9a-fA-F]
plain ::= [^"\\\x00-\x1f]
char ::= plain | "\\" (["\\/bfnrt] | "u" ([0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2}))
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?
boolean ::= "true" | "false"
null ::= "null"
value ::= object | array | string | number | boolean | null
object ::= "{" space (member ("," space member)*)? "}"
member ::= string space ":" space value space
array ::= "[" space (value space ("," space value space)*)? "]"
)";

constexpr std::array annotations = {"title", "description", "default",    "examples", "$schema",
                                    "$id",   "$comment",    "deprecated", "readOnly", "writeOnly",
                                    "$defs", "definitions", "$anchor"};
const std::map<std::string, std::vector<std::string>> keywords_of_types = {
    {"object", {"properties", "required", "additionalProperties"}},
    {"array", {"items", "prefixItems", "minItems", "maxItems"}},
    {"string", {"minLength", "maxLength", "pattern", "format"}},
    {"integer", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"}},
    {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"}},
    {"boolean", {}},
    {"null", {}}};

constexpr int64_t most_times = 10000;
constexpr size_t most_schemas = 1500, most_alternatives = 500;

std::string type_of(const Json& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  return value.is_boolean() ? "boolean" : "null";
}

bool type_includes(const std::string& type, const std::string& other) {
  return type == other || (type == "number" && other == "integer");
}

class Translator {
 public:
  explicit Translator(const Json& schema) : root_(schema) {}

  std::string translate() {
    const std::string root = rule_of(root_, "#");
    while (!open_.empty()) {
      const auto [schema, at] = open_.back();
      open_.pop_back();
      const std::string body = body_of(*schema, at);
      rules_ += fmt::format("{} ::= {}\n", names_.at(at), body);
    }
    return fmt::format("root ::= {}\n{}{}", root, rules_, common_rules);
  }

 private:
  [[noreturn]] static void error(const std::string& at, const std::string& what) {
    fail_usage("the JSON schema, at {}: {}", at, what);
  }

  // The name of the rule for the schema at this place, which will be written if it is new. The
  // schema is a part of the root.
  std::string rule_of(const Json& schema, const std::string& at) {
    if (const auto known = names_.find(at); known != names_.end()) return known->second;
    if (names_.size() == most_schemas) error(at, fmt::format("more than {} schemas", most_schemas));
    const std::string name = fmt::format("s{}", names_.size());
    names_[at] = name;
    open_.emplace_back(&schema, at);
    return name;
  }

  std::string body_of(const Json& schema, const std::string& at) {
    if (schema.is_boolean() && schema.get<bool>()) return "value";
    if (schema.is_boolean()) error(at, "nothing satisfies `false`");
    if (!schema.is_object()) error(at, "a schema is an object, true or false");
    for (const char* key : {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"}) {
      if (!schema.contains(key)) continue;
      const std::string name = key;
      if (name == "const" || name == "enum") return body_of_values(schema, name, at);
      check_keywords(schema, {name}, at);
      if (name == "$ref") return body_of_reference(schema, at);
      if (name == "allOf") return body_of_all(schema, at);
      return body_of_any(schema, name, at);
    }
    const std::vector<std::string> types = types_of(schema, at);
    std::vector<std::string> known = {"type"};
    for (const std::string& type : types)
      known.insert(known.end(), keywords_of_types.at(type).begin(),
                   keywords_of_types.at(type).end());
    check_keywords(schema, known, at);
    std::vector<std::string> alternatives;
    alternatives.reserve(types.size());
    for (const std::string& type : types) alternatives.push_back(body_of_type(schema, type, at));
    return joined_by(alternatives, " | ");
  }

  void check_keywords(const Json& schema, const std::vector<std::string>& known,
                      const std::string& at) const {
    for (const auto& [key, unused] : schema.items()) {
      const bool found = std::count(known.begin(), known.end(), key) > 0 ||
                         std::any_of(annotations.begin(), annotations.end(),
                                     [&key = key](const char* name) { return key == name; });
      if (!found)
        error(at, fmt::format("the keyword '{}' is not supported here (beside {})", key,
                              joined_by(known, ", ")));
    }
  }

  // The types that `type` names, or those of which a keyword speaks; all where none does.
  std::vector<std::string> types_of(const Json& schema, const std::string& at) const {
    std::vector<std::string> types;
    const auto named = schema.find("type");
    if (named != schema.end()) {
      for (const Json& type : named->is_array() ? *named : Json::array({*named})) {
        if (!type.is_string() || !keywords_of_types.contains(type.get<std::string>()))
          error(at, "there is no type " + shown(type));
        types.push_back(type.get<std::string>());
      }
      if (types.empty()) error(at, "'type' names no type");
      return types;
    }
    for (const auto& [type, keywords] : keywords_of_types) {
      const auto speaks = [&](const std::string& key) { return schema.contains(key); };
      if (std::any_of(keywords.begin(), keywords.end(), speaks)) types.push_back(type);
    }
    if (!types.empty()) return types;
    return {"object", "array", "string", "number", "boolean", "null"};
  }

  std::string body_of_type(const Json& schema, const std::string& type, const std::string& at) {
    if (type == "object") return body_of_object(schema, at);
    if (type == "array") return body_of_array(schema, at);
    if (type == "string") return body_of_string(schema, at);
    if (type != "integer" && type != "number") return type;
    if (schema.contains("format")) check_format(schema["format"], at);
    return has_number_bounds(schema) ? json_number_grammar(schema, type == "integer", at) : type;
  }

  static std::string pointer_token(std::string key) {
    for (size_t at = 0; (at = key.find_first_of("~/", at)) != std::string::npos; at += 2)
      key.replace(at, 1, key[at] == '~' ? "~0" : "~1");
    return key;
  }

  // --- references and combinations ---

  const Json& referenced(const std::string& reference, const std::string& at) const {
    if (reference != "#" && !reference.starts_with("#/"))
      error(at, fmt::format("$ref '{}' leads out of the schema", reference));
    try {
      const Json& found = root_.at(Json::json_pointer(reference.substr(1)));
      return found;
    } catch (const Json::exception&) {
      error(at, fmt::format("$ref '{}' leads nowhere", reference));
    }
  }

  std::string body_of_reference(const Json& schema, const std::string& at) {
    const Json& reference = schema["$ref"];
    if (!reference.is_string()) error(at, "$ref is no string");
    const std::string to = reference.get<std::string>();
    return rule_of(referenced(to, at), to);
  }

  std::string body_of_all(const Json& schema, const std::string& at) {
    const Json& all = schema["allOf"];
    if (!all.is_array() || all.size() != 1)
      error(at, "the keyword 'allOf' is supported with a single schema only");
    return rule_of(all[0], at + "/allOf/0");
  }

  std::string body_of_any(const Json& schema, const std::string& key, const std::string& at) {
    const Json& any = schema[key];
    if (!any.is_array() || any.empty()) error(at, fmt::format("'{}' is no list of schemas", key));
    if (any.size() > most_alternatives)
      error(at, fmt::format("more than {} alternatives", most_alternatives));
    std::vector<std::string> rules;
    for (size_t i = 0; i < any.size(); ++i) {
      for (size_t j = 0; key == "oneOf" && j < i; ++j)
        if (!are_disjoint(any[i], any[j], 0))
          error(at, fmt::format("one value may satisfy both schemas {} and {} of 'oneOf'; tell "
                                "them apart by type or by a required const, or use 'anyOf'",
                                j, i));
      rules.push_back(rule_of(any[i], fmt::format("{}/{}/{}", at, key, i)));
    }
    return joined_by(rules, " | ");
  }

  void count_comparisons(size_t more) const {
    constexpr size_t most = 1000000;
    if ((comparisons_ += more) > most) error("oneOf", "too many schemas and values to tell apart");
  }

  // True only if no value satisfies both.
  bool are_disjoint(const Json& a, const Json& b, int depth) const {
    constexpr int deepest = 8;
    count_comparisons(1);
    if (!a.is_object() || !b.is_object() || depth > deepest) return false;
    if (a.contains("$ref") && a["$ref"].is_string())
      return are_disjoint(referenced(a["$ref"].get<std::string>(), "oneOf"), b, depth + 1);
    if (b.contains("$ref")) return are_disjoint(b, a, depth + 1);
    const auto values_a = values_of(a), values_b = values_of(b);
    count_comparisons(values_a.size() * values_b.size());
    if (!values_a.empty() && !values_b.empty())
      return std::none_of(values_a.begin(), values_a.end(), [&](const Json& value) {
        return std::count(values_b.begin(), values_b.end(), value) > 0;
      });
    const auto types_a = certain_types(a), types_b = certain_types(b);
    const auto overlap = [&](const std::string& x, const std::string& y) {
      return type_includes(x, y) || type_includes(y, x);
    };
    const bool apart = std::none_of(types_a.begin(), types_a.end(), [&](const std::string& x) {
      return std::any_of(types_b.begin(), types_b.end(),
                         [&](const std::string& y) { return overlap(x, y); });
    });
    if (!types_a.empty() && !types_b.empty() && apart) return true;
    if (types_a != std::vector<std::string>{"object"} || types_b != types_a) return false;
    const auto required_a = required_of(a), required_b = required_of(b);
    count_comparisons(required_a.size() + required_b.size());
    for (const std::string& name : required_a) {
      if (!required_b.contains(name) || !has_property(a, name) || !has_property(b, name)) continue;
      if (are_disjoint(a["properties"][name], b["properties"][name], depth + 1)) return true;
    }
    return false;
  }

  static bool has_property(const Json& schema, const std::string& name) {
    return schema.contains("properties") && schema["properties"].is_object() &&
           schema["properties"].contains(name);
  }
  static std::vector<Json> values_of(const Json& schema) {
    if (schema.contains("const")) return {schema["const"]};
    if (schema.contains("enum") && schema["enum"].is_array())
      return {schema["enum"].begin(), schema["enum"].end()};
    return {};
  }
  std::vector<std::string> certain_types(const Json& schema) const {
    std::set<std::string> types;
    for (const Json& value : values_of(schema)) types.insert(type_of(value));
    if (types.empty() && schema.contains("type")) return types_of(schema, "oneOf");
    return {types.begin(), types.end()};
  }
  static bool is_list_of_names(const Json& value) {
    return value.is_array() &&
           std::ranges::all_of(value, [](const Json& name) { return name.is_string(); });
  }
  static std::set<std::string> required_of(const Json& schema) {
    std::set<std::string> names;
    if (schema.contains("required") && schema["required"].is_array())
      for (const Json& name : schema["required"])
        if (name.is_string()) names.insert(name.get<std::string>());
    return names;
  }

  std::string body_of_values(const Json& schema, const std::string& key, const std::string& at) {
    check_keywords(schema, {key, "type"}, at);
    if (key == "enum" && !schema[key].is_array()) error(at, "'enum' is no list of values");
    std::vector<std::string> alternatives;
    for (const Json& value : values_of(schema)) {
      const std::string type = type_of(value);
      const auto fits = [&](const std::string& t) { return type_includes(t, type); };
      if (schema.contains("type") && !std::ranges::any_of(types_of(schema, at), fits)) continue;
      alternatives.push_back(grammar_string(value.dump()));
    }
    if (alternatives.empty()) error(at, fmt::format("'{}' has no value of the type", key));
    return joined_by(alternatives, " | ");
  }

  // --- objects ---

  std::string body_of_object(const Json& schema, const std::string& at) {
    static const Json none = Json::object();
    const Json& properties = schema.contains("properties") ? schema["properties"] : none;
    if (!properties.is_object()) error(at, "'properties' is no object");
    if (schema.contains("required") && !is_list_of_names(schema["required"]))
      error(at, "'required' is no list of names");
    std::string more;  // what stands for one more member
    if (schema.contains("additionalProperties")) {
      const Json& additional = schema["additionalProperties"];
      if (!additional.is_boolean() || additional.get<bool>())
        more = other_member(properties, additional, at);
    } else if (!schema.contains("properties")) {
      more = "member";
    }
    return R"("{" space )" + members(schema, properties, more, at) + R"( "}")";
  }

  // Members in order. After a first one each has a comma in front, so that there are two rules for
  // what stands from the i-th on: with nothing before it, and with something.
  std::string members(const Json& schema, const Json& properties, const std::string& more,
                      const std::string& at) {
    std::set<std::string> required = required_of(schema);
    const std::string name = names_.at(at);
    std::string rest = more.empty() ? "" : fmt::format(R"(("," space {})*)", more);
    std::string first = more.empty() ? "" : fmt::format("({} {})?", more, rest);
    size_t left = properties.size();
    for (auto it = properties.rbegin(); it != properties.rend(); ++it) {
      --left;
      const std::string& key = it.key();
      const std::string value = rule_of(it.value(), at + "/properties/" + pointer_token(key));
      const std::string member =
          fmt::format(R"({} space ":" space {} space)", grammar_string(Json(key).dump()), value);
      const std::string rest_rule = fmt::format("{}-r{}", name, left);
      const std::string first_rule = fmt::format("{}-f{}", name, left);
      const bool is_required = required.erase(key) > 0;
      const std::string next_rest = rest;
      rules_ += fmt::format("{} ::= {}\n", rest_rule,
                            is_required ? fmt::format(R"("," space {} {})", member, next_rest)
                                        : fmt::format(R"(("," space {})? {})", member, next_rest));
      rules_ += fmt::format("{} ::= {}\n", first_rule,
                            is_required ? fmt::format("{} {}", member, next_rest)
                                        : fmt::format("{} {} | {}", member, next_rest, first));
      rest = rest_rule;
      first = first_rule;
    }
    if (!required.empty())
      error(at,
            fmt::format("'{}' is required; give it a schema in 'properties'", *required.begin()));
    return first;
  }

  // A member whose name is none of the properties': no escapes in it, so that there is one way to
  // write each name.
  std::string other_member(const Json& properties, const Json& additional, const std::string& at) {
    const std::string value = rule_of(additional, at + "/additionalProperties");
    std::vector<std::string> names;
    for (const auto& [key, unused] : properties.items()) names.push_back(key);
    const std::string rule = names_.at(at) + "-m";
    rules_ += fmt::format(R"({} ::= "\"" {} space ":" space {} space)"
                          "\n",
                          rule, grammar_other_names(names), value);
    return rule;
  }

  // --- arrays and strings ---

  std::pair<int64_t, int64_t> limits(const Json& schema, const char* min_key, const char* max_key,
                                     const std::string& at) const {
    int64_t limits[2] = {0, -1};
    for (const int i : {0, 1}) {
      const char* key = i == 0 ? min_key : max_key;
      if (!schema.contains(key)) continue;
      const Json& value = schema[key];
      if (!value.is_number_integer() || value.get<double>() < 0 ||
          value.get<double>() > static_cast<double>(most_times))
        error(at, fmt::format("'{}' is {}, expected an integer from 0 to {}", key, shown(value),
                              most_times));
      limits[i] = value.get<int64_t>();
    }
    if (limits[1] >= 0 && limits[1] < limits[0])
      error(at, fmt::format("'{}' is more than '{}'", min_key, max_key));
    return {limits[0], limits[1]};
  }

  std::string body_of_array(const Json& schema, const std::string& at) {
    const auto [min, max] = limits(schema, "minItems", "maxItems", at);
    static const Json none = Json::array();
    const Json& prefix = schema.contains("prefixItems") ? schema["prefixItems"] : none;
    if (!prefix.is_array() || prefix.size() > most_alternatives)
      error(at, "'prefixItems' is no list of schemas, or a very long one");
    const bool has_items = schema.contains("items");
    const bool closed = has_items && schema["items"] == Json(false);
    const auto fixed = static_cast<int64_t>(prefix.size());
    if (closed && min > fixed) error(at, "'minItems' is more than 'prefixItems' has");
    // Without `items`, a list with a prefix ends after it, unless minItems asks for more.
    const bool open = !closed && (has_items || fixed == 0 || min > fixed);
    const int64_t most = max >= 0 ? max : open ? -1 : fixed;
    std::string body;
    if (open && (most < 0 || most > fixed)) {
      const std::string item =
          has_items ? rule_of(schema["items"], at + "/items") : std::string("value");
      const int64_t least = std::max<int64_t>(0, min - fixed);
      body = repeated_items(item, fixed == 0, least, most < 0 ? -1 : most - fixed);
    }
    for (int64_t i = fixed; i-- > 0;) {
      if (most >= 0 && i >= most) continue;
      const std::string item =
          rule_of(prefix[static_cast<size_t>(i)], fmt::format("{}/prefixItems/{}", at, i));
      body = fmt::format("{}{} space {}", i == 0 ? "" : R"("," space )", item, body);
      if (i >= min) body = fmt::format("({})?", body);
      if (i > 0 && i >= min) {  // groups would nest as deep as the list is long
        const std::string rule = fmt::format("{}-i{}", names_.at(at), i);
        rules_ += fmt::format("{} ::= {}\n", rule, body);
        body = rule;
      }
    }
    return R"("[" space )" + body + R"( "]")";
  }

  static std::string repeated_items(const std::string& item, bool at_begin, int64_t min,
                                    int64_t max) {
    const auto times = [](int64_t low, int64_t high) {
      return high < 0 ? fmt::format("{{{},}}", low) : fmt::format("{{{},{}}}", low, high);
    };
    const std::string next = fmt::format(R"(("," space {} space))", item);
    if (!at_begin) return next + times(min, max);
    const std::string all =
        fmt::format("({} space {}{})", item, next,
                    times(std::max<int64_t>(0, min - 1), max < 0 ? -1 : max - 1));
    return min > 0 ? all : all + "?";
  }

  std::string body_of_string(const Json& schema, const std::string& at) const {
    const bool has_limits = schema.contains("minLength") || schema.contains("maxLength");
    if (schema.contains("format") && !is_number_format(schema["format"]))
      return body_of_format(schema, at);
    if (schema.contains("pattern")) {
      if (has_limits) error(at, "'pattern' is not supported together with a length");
      if (!schema["pattern"].is_string()) error(at, "'pattern' is no string");
      return R"("\"" )" +
             json_pattern_grammar(schema["pattern"].get<std::string>(), at + "/pattern") +
             R"( "\"")";
    }
    if (!has_limits) return "string";
    const auto [min, max] = limits(schema, "minLength", "maxLength", at);
    const std::string high = max < 0 ? "" : std::to_string(max);
    return fmt::format(R"("\"" char{{{},{}}} "\"")", min, high);
  }

  // A format of strings says nothing of numbers, and the other way round.
  static void check_format(const Json& format, const std::string& at) {
    if (is_number_format(format)) return;
    if (!format.is_string() || !json_format_grammar(format.get<std::string>()))
      error(at, fmt::format("the format {} is not supported; expected one of {}", shown(format),
                            json_format_names()));
  }

  static std::string body_of_format(const Json& schema, const std::string& at) {
    check_format(schema["format"], at);
    for (const char* other : {"pattern", "minLength", "maxLength"})
      if (schema.contains(other))
        error(at, fmt::format("'format' is not supported together with '{}'", other));
    return fmt::format(R"("\"" {} "\"")",
                       *json_format_grammar(schema["format"].get<std::string>()));
  }

  const Json& root_;
  std::map<std::string, std::string> names_;               // of rules, by the schema's place
  std::vector<std::pair<const Json*, std::string>> open_;  // named, not written yet
  std::string rules_;
  mutable size_t comparisons_ = 0;
};

int depth_of(const Json& value, int depth = 0) {
  constexpr int deepest = 100;
  if (!value.is_structured()) return depth;
  if (depth > deepest) fail_usage("the JSON schema is nested deeper than {}", deepest);
  int result = depth;
  for (const Json& child : value) result = std::max(result, depth_of(child, depth + 1));
  return result;
}

}  // namespace

std::string json_schema_grammar(const nlohmann::ordered_json& schema) {
  depth_of(schema);
  return Translator(schema).translate();
}

std::string json_schema_grammar(std::string_view schema_text, std::string_view where) {
  return json_schema_grammar(parse_json(schema_text, where));
}

}  // namespace minke
