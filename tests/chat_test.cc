// minke chat, and minke generate's ways to say what may be written, through the program: lines from
// a pipe to a tiny model with random weights.

#include <poll.h>
#include <pty.h>

#include <nlohmann/json.hpp>

#include "tiny_model.h"

namespace minke {
namespace {

class ChatProgram : public TinyModelTest {
 protected:
  Outcome chat(const std::string& lines, const std::string& options) const {
    write_file(folder_ / "lines", lines);
    return shell("$minke --threads 1 chat run -n 12 " + options + " <lines");
  }
  nlohmann::json saved(const std::string& file) const {
    return nlohmann::json::parse(read_file(folder_ / file))["messages"];
  }
};

TEST_F(ChatProgram, TurnsCommandsAndFiles) {
  const Outcome first = chat(
      "Hello\nand\\\nmore\n/save a.json\n/system Be brief.\n/reset\nHello\n/save b.json\n"
      "/regenerate\n/set temperature 0\n/set\n/stats\n/load a.json\n/save c.json\n/exit\nno",
      "--seed 3");
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out.find('\x1b'), std::string::npos);
  EXPECT_NE(first.err.find("temperature 0, top_p 0.95"), std::string::npos) << first.err;
  EXPECT_NE(first.err.find("tokens written"), std::string::npos) << first.err;
  const auto a = saved("a.json"), b = saved("b.json");
  ASSERT_EQ(a.size(), 4u);
  EXPECT_EQ(a[0], (nlohmann::json{{"role", "user"}, {"content", "Hello"}}));
  EXPECT_EQ(a[2]["content"], "and\nmore");
  EXPECT_EQ(a[3]["role"], "assistant");
  EXPECT_NE(first.out.find(a[1]["content"].get<std::string>()), std::string::npos);
  ASSERT_EQ(b.size(), 3u);
  EXPECT_EQ(b[0]["content"], "Be brief.");
  EXPECT_EQ(saved("c.json"), a);
  EXPECT_EQ(chat("Hello\nand\\\nmore\n", "--seed 3").out,
            chat("Hello\nand\\\nmore\n", "--seed 3").out);
}

// The tokens of earlier turns are not computed again.
TEST_F(ChatProgram, EarlierTurnsAreRemembered) {
  std::string lines;
  for (int i = 0; i < 6; ++i) lines += "twenty ships and thirty whales in the sea, all seen\n";
  const Outcome outcome = chat(lines + "/stats\n", "");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find(" 0 of them remembered"), std::string::npos) << outcome.err;
}

TEST_F(ChatProgram, WrongLinesAreToldAndTheConversationGoesOn) {
  const Outcome outcome = chat(
      "/nothing\n/set top_p 2\n/set colour red\n/save\n/load lines\n/regenerate\nHello\n"
      "/save a.json\n",
      "");
  EXPECT_EQ(outcome.code, 1);
  for (const char* message :
       {"there is no command /nothing", "top_p is 2", "there is no setting 'colour'",
        "/save needs a file's name", "lines: not valid JSON", "there is no answer to write again"})
    EXPECT_NE(outcome.err.find(message), std::string::npos) << message << "\n" << outcome.err;
  EXPECT_EQ(saved("a.json").size(), 2u);
  const Outcome full = chat(std::string(3000, '7') + "\nHello\n/save b.json\n", "--context 128");
  EXPECT_NE(full.err.find("the context holds 128"), std::string::npos) << full.err;
  EXPECT_EQ(saved("b.json").size(), 2u);
  EXPECT_EQ(chat("na\xefve\n/save c.json\n", "").code, 0);  // no UTF-8
  EXPECT_EQ(saved("c.json")[0]["content"], "na\uFFFDve");
  write_file(folder_ / "lines", "/save ~/home.json\n");
  EXPECT_EQ(shell("HOME=\"$PWD\" $minke --threads 1 chat run <lines").code, 0);
  EXPECT_EQ(saved("home.json").size(), 0u);
  EXPECT_EQ(run("chat nowhere").code, 1);
  EXPECT_EQ(run("chat run --temperature -1").code, 2);
}

// A person at a terminal whose answers go to a file: it has nothing else.
TEST_F(ChatProgram, PromptsAreNoAnswers) {
  fs::create_directory(folder_ / "cache");
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string line = fmt::format(
        "cd '{}' && MINKE_CACHE=cache TERM=xterm '{}' --quiet --threads 1 chat run -n 8 "
        ">answers",
        folder_.string(), MINKE_PROGRAM);
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    ::_exit(127);
  }
  const auto type = [&](std::string_view keys) {
    EXPECT_EQ(::write(terminal, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  };
  type("Hello\n/save a.json\n");
  char shown[4096];
  for (pollfd waits{terminal, POLLIN, 0}; true;) {
    if (::poll(&waits, 1, 100) == 0 && fs::exists(folder_ / "a.json")) type("\x04");
    if (waits.revents && ::read(terminal, shown, sizeof shown) <= 0) break;
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  std::string answer = saved("a.json")[1]["content"];
  if (!answer.ends_with('\n')) answer += '\n';
  EXPECT_EQ(read_file(folder_ / "answers"), answer);
}

TEST_F(ChatProgram, GenerateFollowsASchemaOrAGrammar) {
  write_file(folder_ / "schema.json", R"({"type": "object", "properties": {
      "size": {"type": "integer"}, "kind": {"enum": ["whale", "ship"]}},
      "required": ["size", "kind"]})");
  write_file(folder_ / "list.gbnf", "root ::= item (\", \" item){2}\nitem ::= \"no\" | [0-9]{3}\n");
  for (const char* seed : {"1", "2", "3"}) {
    const std::string options = fmt::format(" --temperature 1 --seed {} -n 400", seed);
    const Outcome json = succeeds("generate run -p Sea --json-schema schema.json" + options);
    const auto value = nlohmann::json::parse(json.out, nullptr, false);
    ASSERT_TRUE(value.is_object()) << json.out;
    EXPECT_TRUE(value["size"].is_number_integer());
    EXPECT_TRUE(value["kind"] == "whale" || value["kind"] == "ship");
    const Outcome list = succeeds("generate run -p Sea --chat --grammar list.gbnf" + options);
    EXPECT_EQ(std::count(list.out.begin(), list.out.end(), ','), 2) << list.out;
  }
  const Outcome bad = run("generate run -p Sea --grammar schema.json");
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.err.find("schema.json:1:1: expected a rule"), std::string::npos) << bad.err;
}

TEST_F(ChatProgram, GenerateStopsAndFilters) {
  const std::string call = "generate run -p 'ships and' -n 60 --temperature 1.5 --seed 4";
  const std::string text = succeeds(call).out;
  EXPECT_EQ(succeeds(call + " --draft-tokens 3").out, text);
  const std::string stop = text.substr(text.size() / 2, 2);
  const std::string stopped = succeeds(call + " --stop '" + stop + "' --stop never").out;
  EXPECT_LT(stopped.size(), text.size());
  EXPECT_EQ(stopped.find(stop), std::string::npos);
  const std::string greedy = succeeds("generate run -p 'ships and' -n 60 --greedy").out;
  EXPECT_EQ(succeeds(call + " --top-k 1").out, greedy);
  EXPECT_EQ(succeeds(call + " --min-p 1").out, greedy);
  EXPECT_NE(succeeds("generate run -p 'ships and' -n 60 --greedy --repetition-penalty 50").out,
            greedy);
}

// What a call leaves out suits the model: the length its context, the sampling its makers' advice.
TEST_F(ChatProgram, GenerateKnowsTheModel) {
  write_file(folder_ / "long", std::string(480, '\1'));
  const auto answer = [&](const std::string& call) {
    return nlohmann::json::parse(succeeds("generate " + call + " --json").out);
  };
  const auto rest = answer("run --prompt-file long");
  EXPECT_EQ(rest["prompt_tokens"], 480);
  EXPECT_LE(rest["tokens"].size(), 32u);
  fails("generate run --prompt-file long -n 33", 2, "513 tokens are asked for");
  const std::string call = "run -p ships -n 10 --seed 2";
  EXPECT_EQ(answer(call + " --draft-tokens 64")["tokens"], answer(call)["tokens"]);
  write_file(folder_ / "nothing.gbnf", "root ::= \"\"\n");
  EXPECT_EQ(answer(call + " --grammar nothing.gbnf")["tokens_per_second"], 0.0);
  fails("generate " + call + " --seed -1", 2, "--seed");
  const std::string turn = "run -p ships -n 10 --greedy --chat";
  EXPECT_GT(answer(turn + " --system 'Be kind.'")["prompt_tokens"], answer(turn)["prompt_tokens"]);
  EXPECT_EQ(answer(turn + " --thinking off")["tokens"], answer(turn)["tokens"]);
  EXPECT_NE(answer(turn + " --thinking on")["tokens"], answer(turn)["tokens"]);
  fails("generate " + call + " --thinking on", 2, "--chat");
  succeeds("convert run folder");
  write_file(folder_ / "folder/generation_config.json", R"({"do_sample": false})");
  EXPECT_EQ(answer("folder -p ships")["tokens"], answer("folder -p ships --greedy")["tokens"]);
  EXPECT_NE(answer("folder -p ships --temperature 2")["tokens"],
            answer("folder -p ships --greedy")["tokens"]);
}

}  // namespace
}  // namespace minke
