#include "text/chat_parser.h"

#include <algorithm>
#include <array>
#include <optional>
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

constexpr std::string_view white_space = " \t\r\n";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(white_space) == std::string_view::npos;
}

// Nothing: no JSON, or nested too deep.
std::optional<nlohmann::ordered_json> parsed(std::string_view text) {
  try {
    return parse_json(text, "call");
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The beginning of a call in JSON, up to the opening brace of its arguments.
struct CallHead {
  enum class Kind { unfinished, call, other } kind;
  std::string name = {};
  size_t size = 0;  // bytes before the brace
};

// {"name": "...", "ARGUMENTS_KEY": {
CallHead read_call_head(std::string_view text, std::string_view arguments_key) {
  size_t at = 0;
  bool is_unfinished = false;
  const auto take = [&](std::string_view word) {
    at = std::min(text.find_first_not_of(white_space, at), text.size());
    const std::string_view rest = text.substr(at);
    is_unfinished = rest.size() < word.size() && word.starts_with(rest);
    if (!rest.starts_with(word)) return false;
    at += word.size();
    return true;
  };
  const auto stop = [&] {
    return CallHead{is_unfinished ? CallHead::Kind::unfinished : CallHead::Kind::other};
  };
  if (!take("{") || !take("\"name\"") || !take(":") || !take("\"")) return stop();
  const size_t name_begin = at - 1;
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  if (at >= text.size()) return {CallHead::Kind::unfinished};
  const auto name = parsed(text.substr(name_begin, ++at - name_begin));
  if (!name) return {CallHead::Kind::other};
  if (!take(",") || !take(fmt::format("\"{}\"", arguments_key)) || !take(":") || !take("{"))
    return stop();
  return {CallHead::Kind::call, name->get<std::string>(), at - 1};
}

struct TakenCall {
  std::string text;
  bool has_end;
};

// Takes a call, or its rest, with the tag that ends it ("": nothing but the answer's end does);
// nothing while that is still to come.
std::optional<TakenCall> take_call(std::string& pending, std::string_view tag, bool at_end) {
  const size_t end = tag.empty() ? std::string::npos : pending.find(tag);
  const bool has_end = end != std::string::npos;
  if (!has_end && !at_end) return std::nullopt;
  TakenCall call{pending.substr(0, end), has_end};
  pending.erase(0, has_end ? end + tag.size() : end);
  return call;
}

}  // namespace

size_t ChatParser::ObjectScan::take(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_escaped || (in_string && c == '\\'))
      is_escaped = !is_escaped;
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string && (c == '{' || c == '['))
      ++depth;
    else if (!in_string && (c == '}' || c == ']') && --depth == 0)
      return i + 1;
  }
  return text.size();
}

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
    case State::json_head:
      return step_json_head(at_end);
    case State::json_arguments:
      return step_json_arguments(at_end);
    case State::json_tail:
      return step_json_tail(at_end);
    case State::json_whole:
      return step_json_whole(at_end);
  }
  return false;
}

// Only at its very beginning does an answer open its reasoning, or is it a Llama's call.
bool ChatParser::step_start(bool at_end) {
  const size_t begin = std::min(pending_.find_first_not_of(white_space), pending_.size());
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
  state_ = State::content;
  const bool has_tag = text.starts_with(python_tag);
  if (!is_llama || !(has_tag || text.starts_with('{'))) return true;
  const size_t head = has_tag ? begin + python_tag.size() : 0;
  begin_json_call(pending_.substr(0, head), "");
  pending_.erase(0, head);
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
  state_ = State::content;
  if (family_ == ChatFamily::llama3 && tools_ && pending_.starts_with('{')) begin_json_call("", "");
  return true;
}

bool ChatParser::step_content(bool at_end) {
  if (!tools_) {
    emit(Kind::content, std::exchange(pending_, {}));
    return false;
  }
  const std::array<std::string_view, 3> tags = {special::tool_calls_begin, "\n<tool_call>",
                                                "<tool_call>"};
  const int tag = take_until(tags, Kind::content, at_end);
  if (tag < 0) return false;
  state_ = State::between_calls;
  if (tag == 0) return true;
  begin_json_call(tags[tag], "</tool_call>");
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

std::string_view ChatParser::arguments_key() const {
  return call_end_.empty() ? "parameters" : "arguments";
}

// head: the tag that begins it, end: the one that ends it.
void ChatParser::begin_json_call(std::string_view head, std::string_view end) {
  head_ = head;
  call_end_ = end;
  object_ = {};
  state_ = State::json_head;
}

bool ChatParser::step_json_head(bool at_end) {
  const size_t end = call_end_.empty() ? std::string::npos : pending_.find(call_end_);
  const auto head = read_call_head(std::string_view(pending_).substr(0, end), arguments_key());
  if (head.kind == CallHead::Kind::unfinished && end == std::string::npos && !at_end) return false;
  state_ = head.kind == CallHead::Kind::call ? State::json_arguments : State::json_whole;
  if (head.kind != CallHead::Kind::call) return true;
  begin_call(head.name);
  pending_.erase(0, head.size);
  return true;
}

bool ChatParser::step_json_arguments(bool at_end) {
  size_t end = call_end_.empty() ? std::string::npos : pending_.find(call_end_);
  const bool is_cut = end != std::string::npos;
  if (!is_cut)
    end = pending_.size() -
          (at_end || call_end_.empty() ? 0 : possible_beginning(pending_, {&call_end_, 1}));
  const size_t taken = object_.take(std::string_view(pending_).substr(0, end));
  emit(Kind::tool_arguments, std::string_view(pending_).substr(0, taken));
  pending_.erase(0, taken);
  if (object_.depth > 0 && !is_cut) return false;
  if (object_.depth > 0) pending_.erase(0, call_end_.size());
  state_ = object_.depth > 0 ? State::content : State::json_tail;
  return true;
}

// What is left of a call when its arguments have come: a brace, perhaps other fields before it.
bool ChatParser::step_json_tail(bool at_end) {
  const auto tail = take_call(pending_, call_end_, at_end);
  if (!tail) return false;
  if (!is_blank(tail->text) && !parsed("{\"\": 0" + tail->text)) emit(Kind::content, tail->text);
  state_ = State::content;
  return true;
}

bool ChatParser::step_json_whole(bool at_end) {
  const auto call = take_call(pending_, call_end_, at_end);
  if (!call) return false;
  if (!emit_json_call(call->text)) {
    emit(Kind::content, std::exchange(head_, {}) + call->text);
    if (call->has_end) emit(Kind::content, call_end_);
  }
  state_ = State::content;
  return true;
}

bool ChatParser::emit_json_call(std::string_view text) {
  const auto call = parsed(text);
  const bool is_call = call && call->is_object() && call->contains("name") &&
                       (*call)["name"].is_string() && call->contains(arguments_key());
  if (!is_call) return false;
  begin_call((*call)["name"].get<std::string>());
  const auto& arguments = (*call)[arguments_key()];
  emit(Kind::tool_arguments,
       arguments.is_string() ? arguments.get<std::string>() : arguments.dump());
  return true;
}

}  // namespace minke
