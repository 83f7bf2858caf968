#include "text/chat_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "config/json.h"
#include "text/chat_layout.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

constexpr std::string_view fence_begin = "\n```json\n";
constexpr std::string_view python_tag = "<|python_tag|>";

// The first tag in the text, and where; tag -1: none.
struct Found {
  int tag = -1;
  size_t at = std::string_view::npos;
};

Found find_first(std::string_view text, std::span<const std::string_view> tags) {
  Found found;
  for (size_t i = 0; i < tags.size(); ++i)
    if (const size_t at = text.find(tags[i]); at < found.at) found = {static_cast<int>(i), at};
  return found;
}

// Bytes at the text's end that could begin a tag.
size_t possible_beginning(std::string_view text, std::span<const std::string_view> tags) {
  size_t longest = 0;
  for (const std::string_view tag : tags)
    for (size_t n = std::min(text.size(), tag.size() - 1); n > longest; --n)
      if (text.ends_with(tag.substr(0, n))) longest = n;
  return longest;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

ChatParser::ChatParser(ChatFamily family, bool in_reasoning, bool tools)
    : family_(family), tools_(tools), state_(in_reasoning ? State::reasoning : State::start) {}

std::vector<ChatDelta> ChatParser::push(std::string_view text) {
  pending_ += text;
  while (!pending_.empty() && step(false)) {
  }
  return std::exchange(deltas_, {});
}

std::vector<ChatDelta> ChatParser::finish() {
  while (!(pending_.empty() && head_.empty()) && step(true)) {
  }
  return std::exchange(deltas_, {});
}

void ChatParser::emit(Kind kind, std::string_view text) {
  if (text.empty() && kind != Kind::tool_name) return;
  const int index = kind == Kind::tool_name || kind == Kind::tool_arguments ? calls_ - 1 : 0;
  if (!deltas_.empty() && deltas_.back().kind == kind && kind != Kind::tool_name)
    deltas_.back().text += text;
  else
    deltas_.push_back({kind, std::string(text), index});
}

int ChatParser::take_until(std::span<const std::string_view> tags, Kind kind, bool at_end) {
  const Found found = find_first(pending_, tags);
  if (found.tag >= 0) {
    emit(kind, std::string_view(pending_).substr(0, found.at));
    pending_.erase(0, found.at + tags[found.tag].size());
    return found.tag;
  }
  const size_t kept = at_end ? 0 : possible_beginning(pending_, tags);
  emit(kind, std::string_view(pending_).substr(0, pending_.size() - kept));
  pending_.erase(0, pending_.size() - kept);
  return -1;
}

void ChatParser::begin_call(std::string_view name) {
  ++calls_;
  emit(Kind::tool_name, name);
  head_.clear();
}

// One step; false when more text is needed.
bool ChatParser::step(bool at_end) {
  switch (state_) {
    case State::start:
      return step_start(at_end);
    case State::reasoning_start:
      if (pending_.empty()) return false;
      if (pending_[0] == '\n') pending_.erase(0, 1);
      state_ = State::reasoning;
      return true;
    case State::reasoning:
      return step_reasoning(at_end);
    case State::after_layout:
      return step_after_layout(at_end);
    case State::content:
      return step_content(at_end);
    case State::between_calls:
      return step_between_calls(at_end);
    case State::call_head:
      return step_call_head(at_end);
    case State::call_name:
      return step_call_name(at_end);
    case State::arguments:
      return step_arguments(at_end);
    case State::json_call:
      return step_json_call(at_end);
    case State::json_answer:
      return step_json_answer(at_end);
  }
  return false;
}

// Only at its very beginning does an answer open its reasoning, or is it a Llama's call.
bool ChatParser::step_start(bool at_end) {
  const size_t begin = std::min(pending_.find_first_not_of(" \t\r\n"), pending_.size());
  const std::string_view text = std::string_view(pending_).substr(begin);
  if (text.starts_with(special::think_begin)) {
    pending_.erase(0, begin + special::think_begin.size());
    state_ = State::reasoning_start;
    return true;
  }
  const auto may_become = [&](std::string_view tag) {
    return !at_end && text.size() < tag.size() && tag.starts_with(text);
  };
  const bool is_llama = family_ == ChatFamily::llama3 && tools_;
  if (may_become(special::think_begin) || (is_llama && may_become(python_tag))) return false;
  state_ = is_llama && (text.starts_with('{') || text.starts_with(python_tag)) ? State::json_answer
                                                                               : State::content;
  return true;
}

bool ChatParser::step_reasoning(bool at_end) {
  constexpr std::array<std::string_view, 2> tags = {"\n</think>", "</think>"};
  if (take_until(tags, Kind::reasoning, at_end) < 0) return false;
  state_ = State::after_layout;
  return true;
}

bool ChatParser::step_after_layout(bool) {
  pending_.erase(0, std::min(pending_.find_first_not_of('\n'), pending_.size()));
  if (pending_.empty()) return false;
  state_ = family_ == ChatFamily::llama3 && tools_ && pending_.starts_with('{') ? State::json_answer
                                                                                : State::content;
  return true;
}

bool ChatParser::step_content(bool at_end) {
  const std::array<std::string_view, 3> tags = {special::tool_calls_begin, "\n<tool_call>",
                                                "<tool_call>"};
  const int tag = take_until(tags, Kind::content, at_end);
  if (tag < 0) return false;
  if (tag > 0) head_ = tags[tag];
  state_ = tag == 0 ? State::between_calls : State::json_call;
  return true;
}

bool ChatParser::step_between_calls(bool at_end) {
  const std::array<std::string_view, 2> tags = {special::tool_call_begin, special::tool_calls_end};
  const Found found = find_first(pending_, tags);
  const size_t end = found.tag < 0 && !at_end ? pending_.size() - possible_beginning(pending_, tags)
                                              : std::min(found.at, pending_.size());
  const std::string_view between = std::string_view(pending_).substr(0, end);
  between_has_text_ = between_has_text_ || !is_blank(between);
  if (between_has_text_) emit(Kind::content, between);
  if (found.tag < 0 && !at_end && !between_has_text_) return false;  // perhaps only a line break
  pending_.erase(0, end);
  if (found.tag < 0) return false;
  pending_.erase(0, tags[found.tag].size());
  between_has_text_ = false;
  if (found.tag == 0) head_ = special::tool_call_begin;
  state_ = found.tag == 0 ? State::call_head : State::content;
  return true;
}

// "function<sep>name\n```json\n{...}\n```<end>", V3.1: "name<sep>{...}<end>".
bool ChatParser::step_call_head(bool at_end) {
  const std::array<std::string_view, 2> tags = {special::tool_separator, special::tool_call_end};
  const Found found = find_first(pending_, tags);
  if (found.tag < 0 && !at_end) return false;
  if (found.tag != 0) {  // no call: given back as it came
    const size_t end = found.tag < 0 ? pending_.size() : found.at + special::tool_call_end.size();
    emit(Kind::content, std::exchange(head_, {}) + pending_.substr(0, end));
    pending_.erase(0, end);
    state_ = State::between_calls;
    return true;
  }
  const std::string before = pending_.substr(0, found.at);
  pending_.erase(0, found.at + special::tool_separator.size());
  head_ += before;
  head_ += special::tool_separator;
  const bool named = before != "function" || family_ == ChatFamily::deepseek_v31;
  if (named) begin_call(before);
  state_ = named ? State::arguments : State::call_name;
  return true;
}

bool ChatParser::step_call_name(bool at_end) {
  const std::array<std::string_view, 2> tags = {fence_begin, special::tool_call_end};
  const Found found = find_first(pending_, tags);
  if (found.tag < 0 && !at_end) return false;
  if (found.tag < 0) {
    emit(Kind::content, std::exchange(head_, {}) + std::exchange(pending_, {}));
    return false;
  }
  // Without a fence the name is the first line.
  const size_t end = found.tag == 0 ? found.at : std::min(found.at, pending_.find('\n'));
  begin_call(std::string_view(pending_).substr(0, end));
  pending_.erase(0, found.tag == 0 ? found.at + fence_begin.size() : std::min(end + 1, found.at));
  state_ = State::arguments;
  return true;
}

bool ChatParser::step_arguments(bool at_end) {
  static const std::string fenced_end = "\n```" + std::string(special::tool_call_end);
  static const std::string line_fenced_end = "\n```\n" + std::string(special::tool_call_end);
  const std::array<std::string_view, 3> tags = {fenced_end, line_fenced_end,
                                                special::tool_call_end};
  if (take_until(tags, Kind::tool_arguments, at_end) < 0) return false;
  state_ = State::between_calls;
  return true;
}

bool ChatParser::step_json_call(bool at_end) {
  constexpr std::string_view end = "</tool_call>";
  const size_t at = pending_.find(end);
  if (at == std::string::npos && !at_end) return false;
  const std::string text = pending_.substr(0, at);
  pending_.erase(0, at == std::string::npos ? at : at + end.size());
  if (!emit_json_call(text, "arguments")) {
    emit(Kind::content, std::exchange(head_, {}) + text);
    if (at != std::string::npos) emit(Kind::content, end);
  }
  state_ = State::content;
  return true;
}

// A call only when the whole answer is one.
bool ChatParser::step_json_answer(bool at_end) {
  if (!at_end) return false;
  std::string text = std::exchange(pending_, {});
  std::string_view object = trimmed(text);
  if (object.starts_with(python_tag)) object.remove_prefix(python_tag.size());
  if (!emit_json_call(object, "parameters")) emit(Kind::content, text);
  return false;
}

bool ChatParser::emit_json_call(std::string_view text, const char* arguments_key) {
  nlohmann::ordered_json call;
  try {
    call = parse_json(text, "call");
  } catch (const Error&) {
    return false;
  }
  const bool is_call = call.is_object() && call.contains("name") && call["name"].is_string() &&
                       call.contains(arguments_key);
  if (!is_call) return false;
  begin_call(call["name"].get<std::string>());
  const auto& arguments = call[arguments_key];
  emit(Kind::tool_arguments,
       arguments.is_string() ? arguments.get<std::string>() : arguments.dump());
  return true;
}

}  // namespace minke
