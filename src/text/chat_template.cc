#include "text/chat_template.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "config/json.h"
#include "text/chat_layout.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

constexpr const char* qwen25_system =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
constexpr const char* qwen2_system = "You are a helpful assistant.";
constexpr const char* qwen_math_system =
    "Please reason step by step, and put your final answer within \\boxed{}.";
// What Llama 3.1's template puts before every system message; its date is a constant there.
constexpr const char* llama31_system =
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

struct Family {
  std::string_view name;
  bool can_think, thinks;
  std::string_view needs;  // a token without which there is no such template
  std::array<std::string_view, 3> stops;
  void (*write)(const ChatRequest&, PromptWriter&);
};

constexpr std::array<std::string_view, 3> deepseek_stops = {special::eos};
constexpr std::array<std::string_view, 3> chatml_stops = {"<|im_end|>", "<|endoftext|>"};

// In the order of ChatFamily.
const std::array<Family, 9> families = {{
    {"deepseek_v2", false, false, special::bos, deepseek_stops, write_deepseek_v2},
    {"deepseek_v3", false, false, special::user, deepseek_stops, write_deepseek},
    {"deepseek_r1", true, true, special::user, deepseek_stops, write_deepseek},
    {"deepseek_v31", true, false, special::user, deepseek_stops, write_deepseek},
    {"distill", true, true, special::user, deepseek_stops, write_deepseek},
    {"llama3",
     false,
     false,
     "<|start_header_id|>",
     {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"},
     write_llama3},
    {"qwen2", false, false, "<|im_start|>", chatml_stops, write_chatml},
    {"qwen3", true, true, "<|im_start|>", chatml_stops, write_chatml},
    {"chatml", false, false, "<|im_start|>", chatml_stops, write_chatml},
}};

const Family& family_of(ChatFamily family) { return families[static_cast<size_t>(family)]; }

std::string family_names() {
  std::string names;
  for (const Family& family : families)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", family.name);
  return names;
}

void check_messages(std::span<const ChatMessage> messages, const ChatOptions& options) {
  constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant",
                                                     "tool"};
  for (const ChatMessage& message : messages) {
    if (std::ranges::find(roles, message.role) == roles.end())
      fail_usage("a message has the role \"{}\"; expected one of {}", message.role,
                 fmt::join(roles, ", "));
    if (!message.tool_calls.empty() && message.role != "assistant")
      fail_usage("a message of the role \"{}\" has tool calls; only an assistant calls tools",
                 message.role);
  }
  if (options.continue_final && (messages.empty() || messages.back().role != "assistant" ||
                                 !messages.back().tool_calls.empty()))
    fail_usage("only an assistant's last message without tool calls can be continued");
}

nlohmann::ordered_json parse_tools(const std::string& text) {
  if (text.empty()) return nlohmann::ordered_json::array();
  auto tools = parse_json(text, "tools");
  if (!tools.is_array()) fail_usage("tools: expected a list, got {}", shown(tools));
  for (const auto& tool : tools) {
    const auto function = tool.is_object() ? tool.find("function") : tool.end();
    if (!tool.is_object() || function == tool.end() || !function->is_object() ||
        !function->contains("name") || !function->at("name").is_string() ||
        (function->contains("description") && !function->at("description").is_string()))
      fail_usage(
          "tools: expected objects {{\"type\": \"function\", \"function\": {{\"name\": ..., "
          "\"description\": ..., \"parameters\": ...}}}}, got {}",
          shown(tool));
  }
  return tools;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::optional<ChatTemplate> detect_by_text(std::string_view jinja, const Tokenizer& tokenizer) {
  if (has(jinja, special::user)) {
    if (has(jinja, "thinking") && has(jinja, special::think_end))
      return ChatTemplate(ChatFamily::deepseek_v31);
    if (!has(jinja, special::think_end)) return ChatTemplate(ChatFamily::deepseek_v3);
    const bool is_r1 = tokenizer.find_special(special::bos) == 0;
    return ChatTemplate(is_r1 ? ChatFamily::deepseek_r1 : ChatFamily::distill);
  }
  if (has(jinja, "User: ") && has(jinja, "Assistant:"))
    return ChatTemplate(ChatFamily::deepseek_v2);
  if (has(jinja, "<|start_header_id|>"))
    return ChatTemplate(ChatFamily::llama3,
                        has(jinja, "Cutting Knowledge Date") ? llama31_system : "");
  if (!has(jinja, "<|im_start|>")) return std::nullopt;
  if (has(jinja, "enable_thinking")) return ChatTemplate(ChatFamily::qwen3);
  for (const char* system : {qwen25_system, qwen_math_system, qwen2_system})
    if (has(jinja, system)) return ChatTemplate(ChatFamily::qwen2, system);
  return ChatTemplate(ChatFamily::chatml);
}

}  // namespace

std::string python_json(const nlohmann::ordered_json& value) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.size() > 1 ? ", " : "") + part; };
  if (value.is_object()) {
    text = "{";
    for (const auto& [key, entry] : value.items())
      add(nlohmann::ordered_json(key).dump() + ": " + python_json(entry));
    return text + "}";
  }
  if (!value.is_array())
    return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text = "[";
  for (const auto& entry : value) add(python_json(entry));
  return text + "]";
}

std::string python_arguments(const ToolCall& call) {
  try {
    return python_json(parse_json(call.arguments, "arguments"));
  } catch (const Error&) {
    return call.arguments;
  }
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view white_space = " \t\n\r\v\f";
  const size_t begin = text.find_first_not_of(white_space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(white_space) + 1 - begin);
}

ChatTemplate::ChatTemplate(ChatFamily family, std::string system)
    : family_(family), system_(std::move(system)) {
  if (system_ == default_system) system_ = family == ChatFamily::qwen2 ? qwen25_system : "";
}

ChatTemplate ChatTemplate::detect(std::string_view jinja, const Tokenizer& tokenizer) {
  if (const auto found = detect_by_text(jinja, tokenizer)) return *found;
  const auto knows = [&](std::string_view token) {
    return tokenizer.find_special(token).has_value();
  };
  if (knows(special::user))
    return ChatTemplate(knows(special::think_begin) ? ChatFamily::deepseek_v31
                                                    : ChatFamily::deepseek_v3);
  if (knows("<|start_header_id|>")) return ChatTemplate(ChatFamily::llama3);
  if (knows("<|im_start|>")) return ChatTemplate(ChatFamily::chatml);
  fail(
      "the model has no chat template that Minke knows; if it is made for conversations, name one "
      "of {}",
      family_names());
}

ChatTemplate ChatTemplate::named(std::string_view name) {
  for (size_t i = 0; i < families.size(); ++i)
    if (families[i].name == name) return ChatTemplate(static_cast<ChatFamily>(i));
  fail_usage("there is no chat template \"{}\"; Minke has {}", name, family_names());
}

std::string_view ChatTemplate::name() const { return family_of(family_).name; }
bool ChatTemplate::can_think() const { return family_of(family_).can_think; }
bool ChatTemplate::thinks(const ChatOptions& options) const {
  return options.thinking.value_or(family_of(family_).thinks);
}

ChatPrompt ChatTemplate::prompt(std::span<const ChatMessage> messages,
                                const ChatOptions& options) const {
  if (std::ranges::any_of(messages, [](const ChatMessage& m) { return m.role == "developer"; })) {
    std::vector<ChatMessage> renamed(messages.begin(), messages.end());
    for (ChatMessage& message : renamed)
      if (message.role == "developer") message.role = "system";
    return prompt(renamed, options);
  }
  check_messages(messages, options);
  if (thinks(options) && !can_think())
    fail_usage("the chat template {} has no thinking mode", name());
  const ChatRequest request{family_,        system_, messages, options, parse_tools(options.tools),
                            thinks(options)};
  if (family_ == ChatFamily::deepseek_v2 && !request.tools.empty())
    fail_usage("the chat template {} has no tools", name());
  ChatPrompt prompt;
  PromptWriter writer(prompt);
  family_of(family_).write(request, writer);
  return prompt;
}

std::vector<int32_t> ChatTemplate::render(const Tokenizer& tokenizer,
                                          std::span<const ChatMessage> messages,
                                          const ChatOptions& options) const {
  tokenizer.require_special(family_of(family_).needs);
  return tokenizer.encode(prompt(messages, options).parts);
}

std::string ChatTemplate::render_text(std::span<const ChatMessage> messages,
                                      const ChatOptions& options) const {
  std::string text;
  for (const TextPart& part : prompt(messages, options).parts) text += part.text;
  return text;
}

std::vector<int32_t> ChatTemplate::stop_ids(const Tokenizer& tokenizer) const {
  std::vector<int32_t> ids;
  const auto add = [&](std::optional<int32_t> id) {
    if (id && std::ranges::find(ids, *id) == ids.end()) ids.push_back(*id);
  };
  add(tokenizer.eos_id());
  add(tokenizer.eot_id());
  for (const std::string_view stop : family_of(family_).stops) add(tokenizer.find_special(stop));
  return ids;
}

std::string read_chat_template(const fs::path& folder) {
  if (fs::exists(folder / "chat_template.jinja")) return read_file(folder / "chat_template.jinja");
  const fs::path file = folder / "tokenizer_config.json";
  if (!fs::exists(file)) return {};
  const auto config = parse_json(read_file(file), file.string());
  const auto found = config.find("chat_template");
  if (found == config.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  // A list of templates with names; the one called "default" counts.
  if (!found->is_array()) return {};
  for (const auto& entry : *found)
    if (entry.is_object() && entry.value("name", "") == "default")
      return entry.value("template", "");
  return {};
}

}  // namespace minke
