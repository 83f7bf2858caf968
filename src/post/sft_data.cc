#include "post/sft_data.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "config/json.h"
#include "io/checksums.h"

namespace minke {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& object, const char* key, const std::string& where) {
  if (!object.contains(key) || object[key].is_null()) return "";
  if (!object[key].is_string())
    fail_usage("{}: {} is {}, expected a string", where, key, shown(object[key]));
  return object[key];
}

bool flag_of(const Json& object, const char* key, const std::string& where) {
  if (!object.contains(key)) return false;
  if (!object[key].is_boolean())
    fail_usage("{}: {} is {}, expected true or false", where, key, shown(object[key]));
  return object[key];
}

ToolCall parse_call(const Json& call, const std::string& where) {
  if (!call.is_object() || !call.contains("function") || !call["function"].is_object())
    fail_usage("{}: a tool call is {}, expected {{\"function\": {{...}}}}", where, shown(call));
  const Json& function = call["function"];
  const bool given = function.contains("arguments") && !function["arguments"].is_null();
  return {text_of(call, "id", where), text_of(function, "name", where),
          !given                              ? "{}"
          : function["arguments"].is_string() ? function["arguments"].get<std::string>()
                                              : function["arguments"].dump()};
}

std::vector<ChatMessage> parse_messages(const Json& list, const std::string& where) {
  if (!list.is_array() || list.empty())
    fail_usage("{}: messages is {}, expected a list of messages", where, shown(list));
  std::vector<ChatMessage> messages;
  for (const Json& entry : list) {
    if (!entry.is_object()) fail_usage("{}: a message is {}", where, shown(entry));
    ChatMessage& message = messages.emplace_back();
    message.role = text_of(entry, "role", where);
    message.content = text_of(entry, "content", where);
    message.reasoning_content = text_of(entry, "reasoning_content", where);
    if (!entry.contains("tool_calls") || entry["tool_calls"].is_null()) continue;
    for (const Json& call : entry["tool_calls"])
      message.tool_calls.push_back(parse_call(call, where));
  }
  return messages;
}

// tokens with weights for the targets from `answer` on.
SftExample make_example(std::vector<int32_t> tokens, size_t answer, const Tokenizer& tokenizer) {
  SftExample example{std::move(tokens), {}, 0};
  for (size_t i = 1; i < example.tokens.size(); ++i) {
    const bool written = i >= answer;
    example.weights.push_back(written ? 1.0f : 0.0f);
    if (written && !tokenizer.is_special(example.tokens[i]))
      example.answer_bytes += static_cast<int64_t>(tokenizer.token_bytes(example.tokens[i]).size());
  }
  return example;
}

int32_t ending(const Tokenizer& tokenizer, const ChatTemplate* chat, const std::string& where) {
  if (chat) {
    const std::vector<int32_t> stops = chat->stop_ids(tokenizer);
    if (!stops.empty()) return stops[0];
  }
  if (!tokenizer.eos_id()) fail("{}: the tokenizer has no token that ends a text", where);
  return *tokenizer.eos_id();
}

SftExample parse_completion(const Json& line, const std::string& where,
                            const Tokenizer& tokenizer) {
  const std::string prompt = text_of(line, "prompt", where);
  const std::string completion = text_of(line, "completion", where);
  const bool special = flag_of(line, "parse_special", where);
  std::vector<int32_t> tokens = tokenizer.encode(prompt, {tokenizer.adds_bos(), special});
  const size_t answer = tokens.size();
  const std::vector<int32_t> rest = tokenizer.encode(completion, {.parse_special = special});
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  tokens.push_back(ending(tokenizer, nullptr, where));
  return make_example(std::move(tokens), std::max<size_t>(answer, 1), tokenizer);
}

// The conversation up to an answer, as the model reads it before and after it has written that.
struct Turn {
  std::vector<int32_t> tokens;
  size_t answer;  // where it begins
};

Turn render_turn(std::span<const ChatMessage> messages, const std::string& tools,
                 const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& where) {
  const ChatMessage& last = messages.back();
  ChatOptions options;
  options.tools = tools;
  if (!last.reasoning_content.empty() && chat.can_think()) options.thinking = true;
  const auto prompt = chat.render(tokenizer, messages.first(messages.size() - 1), options);
  Turn turn;
  if (last.tool_calls.empty()) {
    options.continue_final = true;
    turn.tokens = chat.render(tokenizer, messages, options);
    turn.tokens.push_back(ending(tokenizer, &chat, where));
  } else {
    options.add_generation_prompt = false;
    turn.tokens = chat.render(tokenizer, messages, options);
    const auto stops = chat.stop_ids(tokenizer);
    while (!turn.tokens.empty() &&  // the line break behind the end is not the model's
           std::find(stops.begin(), stops.end(), turn.tokens.back()) == stops.end())
      turn.tokens.pop_back();
  }
  // An answer that joins the prompt's last token, or a turn without its prompt, begins where they
  // differ.
  turn.answer = static_cast<size_t>(
      std::mismatch(prompt.begin(), prompt.end(), turn.tokens.begin(), turn.tokens.end()).first -
      prompt.begin());
  return turn;
}

bool begins_with(const std::vector<int32_t>& tokens, const std::vector<int32_t>& beginning) {
  return tokens.size() >= beginning.size() &&
         std::equal(beginning.begin(), beginning.end(), tokens.begin());
}

struct SourceName {
  fs::path path;
  double times;
};

// "a.jsonl:2, b.jsonl"
std::vector<SourceName> parse_sources(const std::string& text) {
  std::vector<SourceName> sources;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string name = text.substr(begin, end - begin);
    begin = end + 1;
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    double times = 1.0;
    const size_t colon = name.rfind(':');
    if (colon != std::string::npos) {
      const std::string number = name.substr(colon + 1);
      char* rest = nullptr;
      times = std::strtod(number.c_str(), &rest);
      if (number.empty() || *rest || !(times > 0) || times > 1e4)
        fail_usage("data: '{}' is taken '{}' times, expected a number above 0, at most 10000", name,
                   number);
      name.resize(colon);
    }
    if (name.empty()) fail_usage("data: '{}' names no file", text);
    sources.push_back({name, times});
  }
  return sources;
}

}  // namespace

std::vector<SftExample> parse_conversation(const std::string& text, const std::string& where,
                                           const Tokenizer& tokenizer, const ChatTemplate* chat) {
  const Json line = parse_json(text, where);
  if (!line.is_object() || !(line.contains("messages") || line.contains("completion")))
    fail_usage("{}: expected an object with messages, or with prompt and completion", where);
  if (!line.contains("messages")) return {parse_completion(line, where, tokenizer)};
  if (!chat) fail_usage("{}: messages need a chat template; data.chat_template names one", where);
  const std::vector<ChatMessage> messages = parse_messages(line["messages"], where);
  const std::string tools =
      line.contains("tools") && !line["tools"].is_null() ? line["tools"].dump() : std::string();
  std::vector<SftExample> examples;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    const Turn turn = render_turn(std::span(messages).first(i + 1), tools, tokenizer, *chat, where);
    SftExample example = make_example(turn.tokens, std::max<size_t>(turn.answer, 1), tokenizer);
    if (!examples.empty() && begins_with(example.tokens, examples.back().tokens)) {
      const SftExample& before = examples.back();
      std::copy(before.weights.begin(), before.weights.end(), example.weights.begin());
      example.answer_bytes += before.answer_bytes;
      examples.back() = std::move(example);
    } else {
      examples.push_back(std::move(example));
    }
  }
  return examples;
}

SftData::SftData(const std::string& files, const Tokenizer& tokenizer, const ChatTemplate* chat,
                 int64_t max_tokens, uint64_t seed)
    : seed_(seed) {
  std::string identity;
  for (const SourceName& source : parse_sources(files)) {
    const size_t begin = examples_.size();
    read(source.path, tokenizer, chat, max_tokens);
    sources_.push_back({begin, examples_.size(), source.times});
    identity += fmt::format("{} {}\n", sha256_file(source.path), source.times);
  }
  sha256_ = minke::sha256(identity);
  if (examples_.empty())
    fail("{} has no conversation with an answer of at most {} tokens ({} were left out)", files,
         max_tokens, left_out_);
}

void SftData::read(const fs::path& path, const Tokenizer& tokenizer, const ChatTemplate* chat,
                   int64_t max_tokens) {
  std::ifstream file(path);
  if (!file) fail_usage("{} cannot be read", path.string());
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", path.string(), number);
    const auto examples = parse_conversation(line, where, tokenizer, chat);
    left_out_ += examples.empty();
    for (const SftExample& example : examples) {
      if (example.rows() == 0 || example.rows() > max_tokens || example.weights.back() == 0)
        ++left_out_;
      else
        examples_.push_back(example);
    }
  }
}

double SftData::epoch_tokens() const {
  double tokens = 0;
  for (const Source& source : sources_)
    for (size_t i = source.begin; i < source.end; ++i)
      tokens += source.times * static_cast<double>(examples_[i].rows());
  return tokens;
}

std::vector<const SftExample*> SftData::epoch(uint64_t number) const {
  Random random(seed_, hash_name("sft order"), number << 32);
  std::vector<const SftExample*> order;
  for (const Source& source : sources_)
    for (size_t i = source.begin; i < source.end; ++i) {
      const double whole = std::floor(source.times);
      const double times = whole + (random.uniform() < source.times - whole ? 1 : 0);
      order.insert(order.end(), static_cast<size_t>(times), &examples_[i]);
    }
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace minke
