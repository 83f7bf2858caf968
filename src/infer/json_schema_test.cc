#include "infer/json_schema.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "infer/grammar_test_text.h"
#include "text/utf8.h"

namespace minke {
namespace {

using nlohmann::json;

std::string grammar_of(const std::string& schema) { return json_schema_grammar(schema, "test"); }

bool validates(const std::string& schema, const std::string& text) {
  return matches(grammar_of(schema), text);
}

std::string message_of(const std::string& schema) {
  try {
    grammar_of(schema);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "";
}

// Random texts of the schema's grammar; each is JSON that `check` holds valid.
void check_random_texts(const std::string& schema, const std::function<bool(const json&)>& check) {
  const auto grammar = test_grammar(grammar_of(schema));
  int finished = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const auto text = random_text(grammar, seed, 5);
    if (!text) continue;
    ++finished;
    const json value = json::parse(*text, nullptr, false);
    ASSERT_FALSE(value.is_discarded()) << *text;
    EXPECT_TRUE(check(value)) << schema << "\n" << *text;
  }
  EXPECT_GT(finished, 20) << schema;
}

TEST(JsonSchema, Objects) {
  const std::string schema = R"({"type": "object", "properties": {
      "a": {"type": "integer"}, "b": {"type": ["string", "null"]}, "c": {"type": "boolean"}},
      "required": ["b"], "additionalProperties": false})";
  for (const char* good : {R"({"b":null})", R"({"a": -12, "b": "x"})", R"({ "b":"", "c":true })",
                           "{\"a\":0,\n  \"b\":\"\\n\\u00e9\",\"c\":false}"})
    EXPECT_TRUE(validates(schema, good)) << good;
  for (const char* bad : {"{}", R"({"b":1})", R"({"b":null,"a":1})", R"({"a":1.5,"b":null})",
                          R"({"b":null,})", R"({"b":null,"d":1})", R"({,"b":null})", "[]"})
    EXPECT_FALSE(validates(schema, bad)) << bad;
  check_random_texts(schema, [](const json& value) {
    for (const auto& [key, member] : value.items())
      if (key != "a" && key != "b" && key != "c") return false;
    return value.contains("b") && (value["b"].is_string() || value["b"].is_null()) &&
           (!value.contains("a") || value["a"].is_number_integer()) &&
           (!value.contains("c") || value["c"].is_boolean());
  });
}

TEST(JsonSchema, AdditionalProperties) {
  const std::string schema = R"({"type": "object", "properties": {"ab": {"const": 1}, "a": {},
      "é\"x": {"type": "null"}}, "additionalProperties": {"type": "integer"}})";
  for (const char* good :
       {"{}", R"({"ab":1,"abc":2,"x":3})", R"({"":0})", R"({"b":0,"é":1})", R"({"a":"text"})"})
    EXPECT_TRUE(validates(schema, good)) << good;
  for (const char* bad : {R"({"ab":2})", R"({"x":"y"})", R"({"x":1,"ab":1})", R"({"\u0061b":3})"})
    EXPECT_FALSE(validates(schema, bad)) << bad;
  check_random_texts(schema, [](const json& value) {
    for (const auto& [key, member] : value.items()) {
      if (key == "ab" && member != 1) return false;
      if (key == "é\"x" && !member.is_null()) return false;
      if (key != "ab" && key != "a" && key != "é\"x" && !member.is_number_integer()) return false;
    }
    return value.is_object();
  });
  EXPECT_TRUE(validates(R"({"type": "object"})", R"({"any": [1, {"x": null}]})"));
  EXPECT_FALSE(validates(R"({"type": "object"})", "[]"));
  EXPECT_TRUE(validates(R"({"additionalProperties": true})", R"({"x": 1})"));
}

TEST(JsonSchema, Arrays) {
  const std::string schema = R"({"type": "array", "items": {"enum": [1, "x", null, {"a": [2]}]},
      "minItems": 2, "maxItems": 3})";
  EXPECT_TRUE(validates(schema, R"([1, "x"])"));
  EXPECT_TRUE(validates(schema, R"([{"a":[2]},null ,1])"));
  for (const char* bad : {"[]", "[1]", "[1,1,1,1]", "[2,1]", "[1,]", "[,1]"})
    EXPECT_FALSE(validates(schema, bad)) << bad;
  check_random_texts(schema, [](const json& value) {
    return value.is_array() && value.size() >= 2 && value.size() <= 3;
  });
  const std::string pair = R"({"prefixItems": [{"type": "integer"}, {"type": "string"}],
      "items": {"type": "boolean"}, "minItems": 1, "maxItems": 4})";
  for (const char* good : {"[1]", R"([1,"a"])", R"([1,"a",true,false])"})
    EXPECT_TRUE(validates(pair, good)) << good;
  for (const char* bad :
       {"[]", R"(["a"])", "[1,true]", R"([1,"a",1])", R"([1,"a",true,true,true])"})
    EXPECT_FALSE(validates(pair, bad)) << bad;
  const std::string closed = R"({"prefixItems": [{"type": "integer"}, {}], "items": false})";
  EXPECT_TRUE(validates(closed, "[]"));
  EXPECT_TRUE(validates(closed, "[1,[2]]"));
  EXPECT_FALSE(validates(closed, "[1,2,3]"));
  EXPECT_TRUE(validates(R"({"type": "array", "maxItems": 0})", "[]"));
  EXPECT_FALSE(validates(R"({"type": "array", "maxItems": 0})", "[1]"));
  EXPECT_TRUE(validates(R"({"type": "array", "maxItems": 1})", "[1]"));
}

TEST(JsonSchema, Strings) {
  const std::string schema = R"({"type": "string", "minLength": 2, "maxLength": 4})";
  for (const char* good : {R"("ab")", R"("鯨鯨鯨鯨")", R"("\n\"")", R"("\u00e9a")"})
    EXPECT_TRUE(validates(schema, good)) << good;
  for (const char* bad : {R"("a")", R"("abcde")", R"("a)", R"("\ud800a")", "\"a\nb\""})
    EXPECT_FALSE(validates(schema, bad)) << bad;
  check_random_texts(schema, [](const json& value) {
    int64_t length = 0;
    const std::string text = value.get<std::string>();
    for (size_t at = 0; at < text.size(); at += utf8_character(std::string_view(text).substr(at)))
      ++length;
    return length >= 2 && length <= 4;
  });
}

TEST(JsonSchema, Patterns) {
  const auto pattern = [](const std::string& regex, const std::string& text) {
    return validates(json{{"type", "string"}, {"pattern", regex}}.dump(), json(text).dump());
  };
  EXPECT_TRUE(pattern("^\\d{3}-[A-F]+$", "123-ABC"));
  EXPECT_FALSE(pattern("^\\d{3}-[A-F]+$", "123-ABCG"));
  EXPECT_FALSE(pattern("^\\d{3}-[A-F]+$", "x123-A"));
  EXPECT_TRUE(pattern("b+", "abbc"));
  EXPECT_FALSE(pattern("b+", "ac"));
  EXPECT_TRUE(pattern("^a|c$", "ab"));
  EXPECT_TRUE(pattern("^a|c$", "bc"));
  EXPECT_FALSE(pattern("^a|c$", "cb"));
  EXPECT_TRUE(pattern("^(?:ab|(c.)?)\"\\\\$", "c鯨\"\\"));
  EXPECT_TRUE(pattern("^[^\\s\"x-z]\\t[\\]-]?$", "y\t-") == false);
  EXPECT_TRUE(pattern("^[^\\s\"x-z]\\t[\\]-]?$", "w\t]"));
  EXPECT_TRUE(pattern("^\\u00e9\\x41\\w\\W$", "éA_!"));
  for (const char* regex : {"(?=a)", "a*?", "\\bword", "(a)\\1", "[z-a]", "a{2", "(a", "a)", "*a",
                            "(a$)b", "\\ud800", "[]"}) {
    const std::string schema = json{{"type", "string"}, {"pattern", regex}}.dump();
    EXPECT_NE(message_of(schema).find("#/pattern"), std::string::npos) << regex;
  }
}

TEST(JsonSchema, ReferencesAndRecursion) {
  const std::string schema = R"({"$defs": {"tree/x": {"type": "object", "properties": {
      "left": {"$ref": "#/$defs/tree~1x"}, "value": {"type": "integer"}}, "required": ["value"],
      "additionalProperties": false}}, "$ref": "#/$defs/tree~1x"})";
  EXPECT_TRUE(validates(schema, R"({"left":{"left":{"value":1},"value":2},"value":3})"));
  EXPECT_FALSE(validates(schema, R"({"left":{"left":{"value":1}},"value":3})"));
  check_random_texts(schema, [](const json& value) { return value["value"].is_number_integer(); });
  EXPECT_TRUE(validates(R"({"anyOf": [{"type": "null"},
      {"type": "array", "items": {"$ref": "#"}}]})",
                        "[null,[[],null]]"));
  EXPECT_TRUE(validates(R"({"type": "array", "items": {"$ref": "#"}})", "[[],[[]]]"));
}

TEST(JsonSchema, Alternatives) {
  const std::string shapes = R"({"oneOf": [
      {"type": "object", "properties": {"kind": {"const": "dot"}}, "required": ["kind"]},
      {"type": "object", "properties": {"kind": {"const": "line"}, "to": {"type": "number"}},
       "required": ["kind", "to"]}]})";
  EXPECT_TRUE(validates(shapes, R"({"kind":"dot"})"));
  EXPECT_TRUE(validates(shapes, R"({"kind":"line","to":-1.5e3})"));
  EXPECT_FALSE(validates(shapes, R"({"kind":"line"})"));
  EXPECT_TRUE(validates(R"({"oneOf": [{"type": "string"}, {"type": "integer"}]})", "\"x\""));
  EXPECT_TRUE(validates(R"({"allOf": [{"type": "null"}]})", "null"));
  EXPECT_TRUE(validates(R"({"type": "integer", "enum": ["a", 3]})", "3"));
  EXPECT_FALSE(validates(R"({"type": "integer", "enum": ["a", 3]})", "\"a\""));
  EXPECT_NE(message_of(R"({"oneOf": [{"type": "number"}, {"type": "integer"}]})")
                .find("one value may satisfy both"),
            std::string::npos);
}

TEST(JsonSchema, Numbers) {
  for (const char* good : {"0", "-1", "12.50", "1e5", "-0.1E-7"})
    EXPECT_TRUE(validates(R"({"type": "number"})", good)) << good;
  for (const char* bad : {"01", "1.", ".5", "+1", "1e", "--1", "NaN"})
    EXPECT_FALSE(validates(R"({"type": "number"})", bad)) << bad;
  EXPECT_FALSE(validates(R"({"type": "integer"})", "1.0"));
  check_random_texts(R"({"type": "number"})", [](const json& value) { return value.is_number(); });
}

TEST(JsonSchema, IntegersBetweenBounds) {
  const std::pair<int, int> ranges[] = {{0, 120}, {-5, 3},    {7, 7},     {-120, -99},
                                        {9, 10},  {1, 999},   {105, 987}, {-1000, 20},
                                        {0, 0},   {250, 1000}};
  for (const auto& [low, high] : ranges) {
    const std::string schema =
        fmt::format(R"({{"type": "integer", "minimum": {}, "maximum": {}}})", low, high);
    const GrammarAutomaton grammar(Grammar::parse(grammar_of(schema), "test"), "test");
    for (int i = -1100; i <= 1100; ++i)
      EXPECT_EQ(reads(grammar, std::to_string(i)), i >= low && i <= high) << i;
    EXPECT_FALSE(reads(grammar, "-0"));
    EXPECT_FALSE(reads(grammar, "007"));
  }
  const std::string open = R"({"type": "integer", "exclusiveMinimum": 2.5, "exclusiveMaximum": 6})";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(validates(open, std::to_string(i)), i >= 3 && i <= 5) << i;
  const std::string int32 = R"({"type": "integer", "format": "int32", "minimum": 5})";
  EXPECT_TRUE(validates(int32, "2147483647"));
  EXPECT_FALSE(validates(int32, "2147483648"));
  EXPECT_FALSE(validates(int32, "4"));
  EXPECT_TRUE(validates(R"({"type": "integer", "format": "int32"})", "-2147483648"));
  EXPECT_FALSE(validates(R"({"type": "integer", "format": "int32"})", "-2147483649"));
  EXPECT_TRUE(validates(R"({"type": "integer", "format": "int64"})", "-2147483649"));
  EXPECT_TRUE(validates(R"({"type": ["integer", "string"], "format": "date"})", "7"));
  const std::string at_least = R"({"type": "integer", "minimum": 98765})";
  EXPECT_TRUE(validates(at_least, "9007199254740991"));
  EXPECT_TRUE(validates(at_least, "100000"));
  EXPECT_FALSE(validates(at_least, "98764"));
}

TEST(JsonSchema, NumbersBetweenBounds) {
  struct Case {
    const char *bounds, *good, *bad;
  };
  const Case cases[] = {
      {R"("minimum": 0, "maximum": 1)", "0 1 0.5 0.0 1.00 0.999", "-0.5 1.01 2 1.5 1e0"},
      {R"("exclusiveMinimum": 0, "maximum": 20)", "0.001 19.9 20 7", "0 0.0 20.5 -1 21"},
      {R"("minimum": -2, "exclusiveMaximum": 3)", "-2 -1.5 -0.25 0 2.75", "-2.01 3 3.0 -3"},
      {R"("exclusiveMaximum": -7)", "-7.01 -8 -123456", "-7 -7.0 -6.9 0 7"},
      {R"("minimum": 5, "maximum": 5)", "5 5.0", "4.9 5.1"}};
  const auto each = [](const std::string& words, const std::function<void(std::string)>& with) {
    for (size_t at = 0; at < words.size();) {
      const size_t end = std::min(words.find(' ', at), words.size());
      with(words.substr(at, end - at));
      at = end + 1;
    }
  };
  for (const Case& c : cases) {
    const std::string schema = fmt::format(R"({{"type": "number", {}}})", c.bounds);
    each(c.good, [&](const std::string& text) { EXPECT_TRUE(validates(schema, text)) << text; });
    each(c.bad, [&](const std::string& text) { EXPECT_FALSE(validates(schema, text)) << text; });
  }
  check_random_texts(R"({"type": "number", "minimum": -12, "exclusiveMaximum": 105})",
                     [](const json& value) { return value >= -12 && value < 105; });
}

TEST(JsonSchema, Formats) {
  struct Case {
    const char *format, *good, *bad;
  };
  const Case cases[] = {{"date", "2024-02-28", "2024-02-30"},
                        {"date", "1999-12-31", "1999-13-01"},
                        {"time", "23:59:59Z", "24:00:00Z"},
                        {"date-time", "2024-06-30T07:05:09.25+02:00", "2024-06-31T07:05:09Z"},
                        {"uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"},
                        {"ipv4", "192.168.0.255", "192.168.0.256"},
                        {"email", "ann.lee@mail.example.org", "ann@org"}};
  for (const Case& c : cases) {
    const std::string schema = fmt::format(R"({{"type": "string", "format": "{}"}})", c.format);
    EXPECT_TRUE(validates(schema, fmt::format("\"{}\"", c.good))) << c.good;
    EXPECT_FALSE(validates(schema, fmt::format("\"{}\"", c.bad))) << c.bad;
  }
}

TEST(JsonSchema, WhatIsNotSupportedIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type": "integer", "multipleOf": 3})", "at #: the keyword 'multipleOf'"},
      {R"({"properties": {"a": {"type": "string", "format": "iri"}}})",
       "at #/properties/a: the format \"iri\" is not supported; expected one of date, "},
      {R"({"type": "integer", "format": "uint8"})", "the format \"uint8\" is not supported"},
      {R"({"format": "date", "maxLength": 3})", "'format' is not supported together with"},
      {R"({"type": "integer", "minimum": "3"})", "'minimum' is \"3\", expected a number"},
      {R"({"type": "integer", "minimum": 3.5, "maximum": 3.9})", "no number lies between"},
      {R"({"type": "number", "minimum": 1, "exclusiveMaximum": 1})", "no number lies between"},
      {R"({"type": "number", "maximum": 0.5})", "'maximum' of a number is 0.5"},
      {R"({"type": "integer", "minimum": 9007199254740993})", "expected less than 2^53"},
      {R"({"not": {}})", "'not'"},
      {R"({"type": "text"})", "there is no type \"text\""},
      {R"({"allOf": [{}, {}]})", "'allOf'"},
      {R"({"$ref": "#/nowhere"})", "leads nowhere"},
      {R"({"$ref": "other.json"})", "leads out of the schema"},
      {R"({"type": "object", "required": ["a"]})", "'a' is required"},
      {R"({"type": "array", "minItems": 3, "maxItems": 2})", "'minItems' is more"},
      {R"({"type": "array", "minItems": -1})", "'minItems' is -1"},
      {R"({"type": "array", "minItems": 1e300})", "'minItems' is"},
      {R"({"items": {"const": 1, "minItems": 1}})", "at #/items: the keyword 'minItems'"},
      {R"({"enum": []})", "'enum' has no value"},
      {R"({"type": "object", "required": "a"})", "'required' is no list of names"},
      {R"({"properties": {"a": {}}, "required": ["a", 3]})", "'required' is no list of names"},
      {"false", "nothing satisfies"},
      {"3", "a schema is an object"},
      {"{", "not valid JSON"}};
  for (const auto& [schema, message] : cases)
    EXPECT_NE(message_of(schema).find(message), std::string::npos) << message_of(schema);
  std::string nested = "{}";
  for (int i = 0; i < 300; ++i) nested = R"({"items": )" + nested + "}";
  EXPECT_NE(message_of(nested).find("nested deeper"), std::string::npos);
  EXPECT_THROW(Grammar::parse(grammar_of(R"({"$ref": "#"})"), "g"), Error);
}

// Many values in many alternatives: it does not compare each with each of the others.
TEST(JsonSchema, WhatIsTooMuchWorkIsRefused) {
  json schema = {{"oneOf", json::array()}};
  for (int i = 0; i < 300; ++i) {
    schema["oneOf"].push_back({{"enum", json::array()}});
    for (int j = 0; j < 200; ++j)
      schema["oneOf"].back()["enum"].push_back(fmt::format("{} of {}", j, i));
  }
  EXPECT_NE(message_of(schema.dump()).find("to tell apart"), std::string::npos);
}

}  // namespace
}  // namespace minke
