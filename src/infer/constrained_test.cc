#include "infer/constrained.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "infer/grammar_test_text.h"
#include "infer/json_schema.h"
#include "text/utf8.h"

namespace minke {
namespace {

const Tokenizer& tokenizer() { return test_tokenizer(); }
std::shared_ptr<const TokenTrie> trie() { return test_trie(); }
std::shared_ptr<CompiledGrammar> compiled(const std::string& text) { return test_grammar(text); }

TEST(Grammar, ReadsWhatItSays) {
  const std::string grammar = R"(
# greetings
root ::= greeting ("," " "? name){1,2} [.!]
greeting ::= "hello" | "good " ("day" |
   "night")   # a rule may go on
name ::= [A-Z] [a-zé-ü]* | "\x22" [^"]+ "\"" )";
  for (const char* good : {"hello, Ann!", "good day,Bob, Célia.", "good night,\"鯨 x\"."})
    EXPECT_TRUE(matches(grammar, good)) << good;
  for (const char* bad : {"hello!", "hello, Ann", "hello, ann!", "good,Ann.", "hello,A,B,C.",
                          "hello, \"\".", "hello, Ann!!", ""})
    EXPECT_FALSE(matches(grammar, bad)) << bad;
}

TEST(Grammar, Repetitions) {
  EXPECT_TRUE(matches(R"(root ::= "a"{2,3} "b"{2} "c"{,2} "d"{1,} "e"{0})", "aabbddd"));
  EXPECT_TRUE(matches(R"(root ::= ("a"? "b"*)* "c"+)", "abbaac"));
  EXPECT_FALSE(matches(R"(root ::= "a"{2,3})", "a"));
  EXPECT_FALSE(matches(R"(root ::= "a"{2,3})", "aaaa"));
  EXPECT_FALSE(matches(R"(root ::= "c"{,2})", "ccc"));
}

TEST(Grammar, RecursionAndAmbiguity) {
  const std::string nested = R"g(root ::= "(" root ")" root | "")g";
  EXPECT_TRUE(matches(nested, "(()(()))()"));
  EXPECT_FALSE(matches(nested, "(()(())()"));
  const std::string optional = R"g(root ::= "(" root? ")" | "[" (root ","){0,2} "]")g";
  EXPECT_TRUE(matches(optional, "([((())),[],])"));
  EXPECT_FALSE(matches(optional, "([((())),[],)"));
  const std::string ambiguous = R"g(
root ::= sum
sum ::= item ("+" sum)? | item "+" item | item
item ::= "a"+ | "a" item | "(" sum ")")g";
  EXPECT_TRUE(matches(ambiguous, "aaa+(a+aa)+a"));
  EXPECT_FALSE(matches(ambiguous, "aaa+(a+aa+a"));
  EXPECT_TRUE(matches(R"(root ::= "x" root | "y")", std::string(3000, 'x') + "y"));  // tail calls
}

TEST(Grammar, CharactersAreWholeUtf8) {
  for (const char32_t c :
       {0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_TRUE(matches("root ::= .", text)) << text;
    EXPECT_FALSE(matches("root ::= .", text + "\x80")) << text;
    const std::string only = fmt::format("root ::= [\\U{:08x}]", static_cast<uint32_t>(c));
    EXPECT_TRUE(matches(only, text));
    const std::string others = fmt::format("root ::= [^\\U{:08x}]", static_cast<uint32_t>(c));
    EXPECT_FALSE(matches(others, text));
    EXPECT_TRUE(matches(others, "鯨"));
  }
  for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\xE0\x80\x80"})
    EXPECT_FALSE(matches("root ::= .", bad));
}

TEST(Grammar, ErrorsSayWhere) {
  const auto message = [](const std::string& text) {
    try {
      GrammarAutomaton(Grammar::parse(text, "g"), "g");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message("root ::= \"a\n"), "g:1:12: the string has no end");
  EXPECT_EQ(message("root ::= a\nb ::= \"x\""), "g:1:10: there is no rule 'a'");
  EXPECT_EQ(message("a ::= \"x\""), "g: the grammar has no rule 'root'");
  EXPECT_EQ(message("root ::= [b-a]"), "g:1:14: the range ends before it begins");
  EXPECT_EQ(message("root ::= (\"a\""), "g:1:14: expected ')' at the end of the group");
  EXPECT_EQ(message("root ::= \"a\" )"), "g:1:14: expected '|', or another rule");
  EXPECT_EQ(message("root ::= \"a\"\nroot ::= \"b\""), "g:2:1: the rule 'root' is there already");
  EXPECT_EQ(message("root ::= \"a\"{3,2}"), "g:1:17: {3,2} is less than nothing");
  EXPECT_EQ(message("root ::= \"a\"{99999}"), "g:1:18: at most 10000 times");
  EXPECT_NE(message("root ::= \"\\q\"").find("g:1:12: expected one of"), std::string::npos);
  EXPECT_NE(message("root ::= \"\xFF\"").find("g:1:11: this is not valid UTF-8"),
            std::string::npos);
  EXPECT_NE(message("root ::= \"a\"? root \"b\" | \"\"").find("left recursion"), std::string::npos);
  EXPECT_NE(message("root ::= a\na ::= b? c\nb ::= \"b\"\nc ::= a \"x\" | \"y\"").find("left"),
            std::string::npos);
  EXPECT_NE(message("root ::= \"(\" root \")\"").find("never comes to an end"), std::string::npos);
  EXPECT_NE(message("root ::= \"b\" a?\na ::= \"x\" a").find("'a' never comes to an end"),
            std::string::npos);
  EXPECT_NE(message("root ::= (\"a\"{9999}){9999}").find("too large"), std::string::npos);
  EXPECT_NE(message(std::string("root ::= ") + std::string(500, '(')).find("nested deeper"),
            std::string::npos);
  EXPECT_EQ(message("root ::= \"a\"" + std::string(190000, '*')),
            "g:1:22: more than 8 repetitions of one item");
}

// Each rule names the one before twice: 2^60 positions if all were written in place.
TEST(Grammar, ManyRulesStaySmall) {
  std::string text = "root ::= r60\nr0 ::= \"a\"\n";
  for (int i = 1; i <= 60; ++i) text += fmt::format("r{} ::= r{} r{} | \"b\"\n", i, i - 1, i - 1);
  EXPECT_TRUE(matches(text, "b"));
  std::string chain = "root ::= r1500\nr0 ::= \"a\"\n";
  for (int i = 1; i <= 1500; ++i) chain += fmt::format("r{} ::= r{}\n", i, i - 1);
  EXPECT_TRUE(matches(chain, "a"));
}

// The mask is right for every token: those that the automaton can read byte by byte.
TEST(Constraint, MasksAgreeWithReadingEachToken) {
  const std::string grammars[] = {
      json_schema_grammar(nlohmann::ordered_json(true)),
      R"g(root ::= "(" root ")" root | [a-c]* "ä"?)g",
      R"g(root ::= item ("," item)*   item ::= "\"" [^"]* "\"" | "{" root "}" | "鯨")g",
      R"g(root ::= a* b   a ::= "a" a | "ab"   b ::= "b" | "(" root ")")g"};
  for (const std::string& text : grammars)
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const auto grammar = compiled(text);
      GrammarConstraint constraint(grammar);
      const GrammarAutomaton automaton(Grammar::parse(text, "test"), "test");
      GrammarStates states(automaton);
      int32_t state = states.start();
      const auto read = [&](int32_t from, int32_t token) {
        for (const char c : trie()->token_bytes(token))
          if (from != GrammarStates::dead) from = states.step(from, static_cast<uint8_t>(c));
        return from;
      };
      Random random(seed);
      for (int i = 0; i < 40; ++i) {
        const TokenMask& mask = constraint.allowed();
        for (int32_t id = 0; id < tokenizer().vocab_size(); ++id) {
          const bool is_text = !trie()->token_bytes(id).empty();
          const bool expected = is_text ? read(state, id) != GrammarStates::dead
                                        : id == tokenizer().eos_id() && states.accepting(state);
          ASSERT_EQ(allows(mask, id), expected) << text << i << " " << id;
        }
        std::vector<int32_t> tokens = tokens_of(mask);
        std::erase(tokens, *tokenizer().eos_id());
        if (tokens.empty()) break;
        const int32_t token = tokens[random.below(tokens.size())];
        constraint.accept(token);
        state = read(state, token);
      }
    }
}

TEST(Constraint, RandomJsonParses) {
  const auto grammar = compiled(json_schema_grammar(nlohmann::ordered_json(true)));
  int finished = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto text = random_text(grammar, seed);
    if (!text) continue;
    ++finished;
    EXPECT_TRUE(nlohmann::json::accept(*text)) << *text;
  }
  EXPECT_GT(finished, 100);
}

// A long way down: the nesting has an end, and what is open can be closed.
TEST(Constraint, NestingIsLimited) {
  const auto grammar = compiled(json_schema_grammar(nlohmann::ordered_json(true)));
  GrammarConstraint constraint(grammar);
  const int32_t open = tokenizer().encode("[")[0], close = tokenizer().encode("]")[0];
  int depth = 0;
  for (; depth < 1000 && allows(constraint.allowed(), open); ++depth) constraint.accept(open);
  EXPECT_GT(depth, 100);
  EXPECT_LT(depth, 300);
  for (; depth > 0; --depth) {
    ASSERT_TRUE(allows(constraint.allowed(), close)) << depth;
    constraint.accept(close);
  }
  EXPECT_TRUE(allows(constraint.allowed(), *tokenizer().eos_id()));
}

TEST(Constraint, TokensThatAreNotAllowedAreErrors) {
  GrammarConstraint constraint(compiled("root ::= \"ab\""));
  EXPECT_THROW(constraint.accept(*tokenizer().eos_id()), Error);
  EXPECT_THROW(constraint.accept(tokenizer().encode("b")[0]), Error);
  EXPECT_THROW(constraint.accept(-1), Error);
  constraint.accept(tokenizer().encode("a")[0]);
  EXPECT_EQ(tokens_of(constraint.allowed()), tokenizer().encode("b"));
}

TEST(Constraint, NewTablesChangeNothing) {
  const auto grammar = compiled(R"(root ::= "a"{9000} "b"{9000} | "a" "c")");
  const int32_t a = tokenizer().encode("a")[0], b = tokenizer().encode("b")[0];
  GrammarConstraint kept(grammar), other(grammar);
  kept.accept(a);
  const TokenMask before = kept.allowed();
  EXPECT_TRUE(allows(before, tokenizer().encode("c")[0]));
  const auto tables = grammar->states();
  for (int i = 0; i < 18000; ++i) other.accept(i < 9000 ? a : b);
  EXPECT_NE(grammar->states(), tables);
  EXPECT_EQ(kept.allowed(), before);
  EXPECT_EQ(tokens_of(other.allowed()), std::vector<int32_t>{*tokenizer().eos_id()});
}

TEST(Constraint, GrammarsShareTheirMemory) {
  constexpr size_t most = 100'000;
  const auto memory = std::make_shared<GrammarMemory>(most);
  const auto made = [&](const std::string& text) {
    return std::make_shared<CompiledGrammar>(Grammar::parse(text, "g"), "g", trie(),
                                             end_tokens(tokenizer(), {}), memory);
  };
  const std::string texts[] = {R"(root ::= "a"{400})", R"(root ::= "b"{400})"};
  const auto first = made(texts[0]);
  auto second = made(texts[1]);
  GrammarConstraint a(first), b(second);
  GrammarConstraint alone_a(compiled(texts[0])), alone_b(compiled(texts[1]));
  const int32_t token_a = tokenizer().encode("a")[0], token_b = tokenizer().encode("b")[0];
  size_t largest = 0;
  const auto tables = first->states();
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(a.allowed(), alone_a.allowed());
    if (i % 3 == 0) {
      ASSERT_EQ(b.allowed(), alone_b.allowed());
    }
    for (GrammarConstraint* text : {&a, &alone_a}) text->accept(token_a);
    for (GrammarConstraint* text : {&b, &alone_b}) text->accept(token_b);
    largest = std::max(largest, memory->bytes());
    ASSERT_LE(memory->bytes(), most);
  }
  EXPECT_GT(largest, most / 2);
  EXPECT_NE(first->states(), tables);
  b = GrammarConstraint(first);
  second.reset();
  a.allowed();
  b.allowed();
  EXPECT_LE(memory->bytes(), most);
}

TEST(Constraint, StartsAfterTheReasoning) {
  const auto inner = std::make_shared<GrammarConstraint>(compiled("root ::= \"ab\""));
  const int32_t eos = *tokenizer().eos_id(), think_end = tokenizer().encode("x")[0];
  const int32_t a = tokenizer().encode("a")[0], line = tokenizer().encode("\n")[0];
  ConstraintAfter constraint(inner, think_end, *trie(), {eos});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(allows(constraint.allowed(), line));
    EXPECT_FALSE(allows(constraint.allowed(), eos));
    constraint.accept(tokenizer().encode("7")[0]);
  }
  constraint.accept(think_end);
  EXPECT_TRUE(allows(constraint.allowed(), a));
  EXPECT_TRUE(allows(constraint.allowed(), line));
  EXPECT_FALSE(allows(constraint.allowed(), think_end));
  constraint.accept(line);
  EXPECT_FALSE(allows(constraint.allowed(), line));
  constraint.accept(a);
  EXPECT_FALSE(allows(constraint.allowed(), a));
}

}  // namespace
}  // namespace minke
