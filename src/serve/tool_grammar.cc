#include "serve/tool_grammar.h"

#include "api/error.h"
#include "infer/json_schema.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
}

// Where a string "..." or a class [...] that begins at `at` ends.
size_t end_of_literal(std::string_view text, size_t at) {
  const char close = text[at] == '"' ? '"' : ']';
  for (++at; at < text.size() && text[at] != close; ++at)
    if (text[at] == '\\') ++at;
  return std::min(text.size(), at + 1);
}

// The grammar's text with every rule's name begun by `prefix`, so that several stand side by side.
std::string with_prefix(std::string_view grammar, const std::string& prefix) {
  std::string out;
  for (size_t at = 0; at < grammar.size();) {
    size_t end = at + 1;
    const char c = grammar[at];
    if (c == '"' || c == '[') {
      end = end_of_literal(grammar, at);
    } else if (c == '{') {
      end = grammar.find('}', at) + 1;
    } else if (is_name_character(c)) {
      while (end < grammar.size() && is_name_character(grammar[end])) ++end;
      out += prefix;
    }
    out += grammar.substr(at, end - at);
    at = end;
  }
  return out;
}

// Text as a string of the grammar's notation.
std::string grammar_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n')
      out += "\\n";
    else
      out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return out + "\"";
}

std::string arguments_grammar(const ToolDefinition& tool) {
  const bool follows_schema = tool.parameters && tool.strict;
  return json_schema_grammar(follows_schema ? *tool.parameters : Json{{"type", "object"}});
}

// For each tool `before`, its name, `middle`, arguments, `after`.
std::string calls_grammar(const std::vector<ToolDefinition>& tools, const std::string& before,
                          const std::string& middle, const std::string& after) {
  std::string root, rules;
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string prefix = fmt::format("t{}-", i);
    root +=
        fmt::format("{}{} {}root {}", i ? " | " : "",
                    grammar_string(before + tools[i].name + middle), prefix, grammar_string(after));
    rules += with_prefix(arguments_grammar(tools[i]), prefix);
    rules += '\n';
  }
  return "root ::= " + root + "\n" + rules;
}

using Layout = ToolCallGrammar::Layout;
using Part = ToolCallGrammar::Part;

// Builds the layouts of one model for some tools.
class LayoutBuilder {
 public:
  LayoutBuilder(std::vector<ToolDefinition> tools, ServedModel& model, std::vector<int32_t> ends)
      : tools_(std::move(tools)), model_(model), ends_(std::move(ends)) {}

  std::shared_ptr<const Layout> deepseek(bool is_v31) {
    Layout layout;
    layout.open = token(special::tool_calls_begin);
    layout.call = token(special::tool_call_begin);
    layout.close = token(special::tool_calls_end);
    layout.ends = ends_;
    const int32_t separator = token(special::tool_separator), end = token(special::tool_call_end);
    if (is_v31) {
      layout.parts.push_back({compile(names(), separator), {}, separator});
      Part arguments{nullptr, {}, end};
      for (const ToolDefinition& tool : tools_)
        arguments.by_text[tool.name] = compile(arguments_grammar(tool), end);
      layout.parts.push_back(std::move(arguments));
    } else {
      layout.parts.push_back({compile("root ::= \"function\"", separator), {}, separator});
      layout.parts.push_back(
          {compile(calls_grammar(tools_, "", "\n```json\n", "\n```"), end), {}, end});
      layout.between = compile("root ::= \"\\n\"", layout.call);
    }
    return std::make_shared<const Layout>(std::move(layout));
  }

  std::shared_ptr<const Layout> qwen() {
    Layout layout;
    layout.call = token("<tool_call>");
    layout.ends = ends_;
    const int32_t end = token("</tool_call>");
    layout.parts.push_back(
        {compile(calls_grammar(tools_, "\n{\"name\": \"", "\", \"arguments\": ", "}\n"), end),
         {},
         end});
    layout.between = compile("root ::= \"\\n\"", layout.call);
    return std::make_shared<const Layout>(std::move(layout));
  }

  // format: of an answer that calls nothing; "": it must call.
  std::shared_ptr<CompiledGrammar> llama(const std::string& format) {
    std::string text = calls_grammar(tools_, "{\"name\": \"", "\", \"parameters\": ", "}");
    if (!format.empty())
      text = "root ::= c-root | f-root\n" + with_prefix(text, "c-") + with_prefix(format, "f-");
    return model_.grammar(text, "tools", ends_);
  }

 private:
  int32_t token(std::string_view text) { return model_.tokenizer().require_special(text); }
  std::shared_ptr<CompiledGrammar> compile(const std::string& text, int32_t end) {
    return model_.grammar(text, "tools", {end});
  }
  std::string names() const {
    std::string root = "root ::= ";
    for (size_t i = 0; i < tools_.size(); ++i)
      root += (i ? " | " : "") + grammar_string(tools_[i].name);
    return root;
  }

  std::vector<ToolDefinition> tools_;
  ServedModel& model_;
  std::vector<int32_t> ends_;
};

// The first token decides: it begins calls, or an answer in its own format.
class CallsOrAnswer : public TokenGrammar {
 public:
  CallsOrAnswer(std::shared_ptr<TokenGrammar> calls, std::shared_ptr<TokenGrammar> answer)
      : calls_(std::move(calls)), answer_(std::move(answer)) {}

  const TokenMask& allowed() override {
    if (chosen_) return chosen_->allowed();
    mask_ = answer_->allowed();
    const TokenMask& calls = calls_->allowed();
    for (size_t i = 0; i < std::min(mask_.size(), calls.size()); ++i) mask_[i] |= calls[i];
    return mask_;
  }
  void accept(int32_t token) override {
    if (!chosen_) {
      const TokenMask& calls = calls_->allowed();
      chosen_ = calls[static_cast<size_t>(token) / 64] >> (token % 64) & 1 ? calls_ : answer_;
    }
    chosen_->accept(token);
  }

 private:
  std::shared_ptr<TokenGrammar> calls_, answer_, chosen_;
  TokenMask mask_;
};

bool must_call(const ChatRequestBody& body) {
  return body.tool_choice == ToolChoice::required || body.tool_choice == ToolChoice::function;
}

std::shared_ptr<TokenGrammar> build(const ChatRequestBody& body, ChatFamily family,
                                    ServedModel& model, const std::vector<int32_t>& ends,
                                    const std::string& format) {
  std::vector<ToolDefinition> tools = body.tools;
  if (body.tool_choice == ToolChoice::function)
    std::erase_if(tools, [&](const auto& tool) { return tool.name != body.chosen_function; });
  LayoutBuilder builder(std::move(tools), model, ends);
  if (family == ChatFamily::llama3) {
    if (must_call(body) || !format.empty())
      return std::make_shared<GrammarConstraint>(builder.llama(must_call(body) ? "" : format));
    refuse_value("tools",
                 "this model's tool calls can follow strict schemas only with "
                 "tool_choice required, or a function");
  }
  const bool is_chatml =
      family == ChatFamily::qwen2 || family == ChatFamily::qwen3 || family == ChatFamily::chatml;
  const auto layout =
      is_chatml ? builder.qwen() : builder.deepseek(family == ChatFamily::deepseek_v31);
  const bool is_free = !must_call(body) && format.empty();
  auto calls = std::make_shared<ToolCallGrammar>(layout, !is_free, !body.parallel_tool_calls,
                                                 model.tokenizer().vocab_size());
  if (must_call(body) || is_free) return calls;
  return std::make_shared<CallsOrAnswer>(
      calls, std::make_shared<GrammarConstraint>(model.grammar(format, "response_format", ends)));
}

}  // namespace

bool constrains_calls(const ChatRequestBody& body) {
  if (body.tool_choice == ToolChoice::none) return false;
  return must_call(body) || std::any_of(body.tools.begin(), body.tools.end(),
                                        [](const ToolDefinition& tool) { return tool.strict; });
}

std::shared_ptr<TokenGrammar> make_tool_grammar(const ChatRequestBody& body, ChatFamily family,
                                                ServedModel& model,
                                                const std::vector<int32_t>& ends,
                                                const std::string& format) {
  if (!constrains_calls(body) && format.empty()) return nullptr;
  try {
    return build(body, family, model, ends, format);
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "tools");
  }
}

ToolCallGrammar::ToolCallGrammar(std::shared_ptr<const Layout> layout, bool must_call,
                                 bool one_call, int32_t vocab_size)
    : layout_(std::move(layout)),
      must_call_(must_call),
      one_call_(one_call),
      anything_((static_cast<size_t>(vocab_size) + 63) / 64, ~uint64_t{0}),
      mask_(anything_.size()) {}

void ToolCallGrammar::set_only(std::initializer_list<std::optional<int32_t>> tokens) {
  std::fill(mask_.begin(), mask_.end(), 0);
  for (const auto& token : tokens)
    if (token) mask_[static_cast<size_t>(*token) / 64] |= uint64_t{1} << (*token % 64);
}

void ToolCallGrammar::begin_part(size_t part) {
  const Part& next = layout_->parts[part];
  const auto grammar = next.text ? next.text : next.by_text.at(written_);
  state_ = State::in_call;
  part_ = part;
  written_.clear();
  text_ = std::make_unique<GrammarConstraint>(grammar);
}

const TokenMask& ToolCallGrammar::allowed() {
  switch (state_) {
    case State::before:
      if (!must_call_) return anything_;
      set_only({layout_->open ? *layout_->open : layout_->call});
      return mask_;
    case State::opened:
      set_only({layout_->call});
      return mask_;
    case State::in_call:
    case State::between:
      return text_->allowed();
    case State::after_call:
      break;
    case State::closed:
      set_only({});
      for (const int32_t end : layout_->ends)
        mask_[static_cast<size_t>(end) / 64] |= uint64_t{1} << (end % 64);
      return mask_;
  }
  // Another call, or the end.
  if (one_call_)
    set_only({layout_->close});
  else if (layout_->between)
    mask_ = GrammarConstraint(layout_->between).allowed();
  else
    set_only({layout_->call});
  if (layout_->close)
    mask_[static_cast<size_t>(*layout_->close) / 64] |= uint64_t{1} << (*layout_->close % 64);
  if (!layout_->close)
    for (const int32_t end : layout_->ends)
      mask_[static_cast<size_t>(end) / 64] |= uint64_t{1} << (end % 64);
  return mask_;
}

void ToolCallGrammar::accept(int32_t token) {
  if (state_ == State::after_call) {
    if (token == layout_->close) {
      state_ = State::closed;
      return;
    }
    if (layout_->between) {
      state_ = State::between;
      text_ = std::make_unique<GrammarConstraint>(layout_->between);
    }
  }
  switch (state_) {
    case State::before:
      if (layout_->open && token == *layout_->open) state_ = State::opened;
      if (!layout_->open && token == layout_->call) begin_part(0);
      return;
    case State::opened:
    case State::after_call:
      begin_part(0);
      return;
    case State::between:
      text_->accept(token);
      if (token == layout_->call) begin_part(0);
      return;
    case State::in_call:
      break;
    case State::closed:
      return;
  }
  const Part& part = layout_->parts[part_];
  text_->accept(token);
  if (token != part.after) {
    written_ += layout_->parts[part_].text ? layout_->parts[part_].text->trie().token_bytes(token)
                                           : std::string_view();
    return;
  }
  if (part_ + 1 < layout_->parts.size())
    begin_part(part_ + 1);
  else
    state_ = State::after_call;
}

}  // namespace minke
