#include "chat/session.h"

#include <charconv>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "base/machine.h"

namespace minke {
namespace {

constexpr const char* help =
    R"(/system TEXT      replace the system prompt; without TEXT there is none
/reset            forget the conversation
/regenerate       another answer to the last message
/save FILE        write the conversation as JSON; /load FILE reads it
/set NAME VALUE   temperature, top_p, top_k, min_p, repetition_penalty, seed, max_tokens,
                  think (show or hide the reasoning), thinking (on or off); /set alone lists them
/stats            tokens, rates and memory so far
/exit             leave; so does Ctrl-D. Ctrl-C stops an answer.
A line that ends with a backslash goes on in the next.)";

constexpr const char *dim = "\x1b[2m", *plain = "\x1b[0m";

double number_of(const std::string& name, const std::string& value) {
  double number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end) fail_usage("{} is {}, expected a number", name, value);
  return number;
}

int64_t count_of(const std::string& name, const std::string& value) {
  int64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end || number < 0)
    fail_usage("{} is {}, expected 0 or more", name, value);
  return number;
}

bool choice_of(const std::string& name, const std::string& value, const char* yes, const char* no) {
  if (value != yes && value != no) fail_usage("{} is {}, expected {} or {}", name, value, yes, no);
  return value == yes;
}

// As a shell reads a file's name.
std::string with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return home && path.starts_with("~/") ? home + path.substr(1) : path;
}

double rate_of(const AnswerStats& stats) {
  return static_cast<double>(stats.tokens) / std::max(1e-9, stats.seconds);
}

}  // namespace

ChatSession::ChatSession(Conversation& conversation, SessionOutput output, bool shows_reasoning,
                         std::function<bool()> is_stopped)
    : conversation_(conversation),
      output_(std::move(output)),
      shows_reasoning_(shows_reasoning),
      is_stopped_(std::move(is_stopped)) {}

bool ChatSession::handle(const std::string& line) {
  if (line.find_first_not_of(" \t\n") == std::string::npos) return true;
  try {
    if (line[0] == '/') return command(line);
    answer([&](const auto& on_delta) { return conversation_.ask(line, on_delta, is_stopped_); });
  } catch (const Error& error) {
    failed_ = true;
    output_.notice(fmt::format("error: {}", error.what()));
  }
  return true;
}

bool ChatSession::command(const std::string& line) {
  const size_t space = std::min(line.find(' '), line.size());
  const size_t begin = std::min(line.find_first_not_of(' ', space), line.size());
  const std::string name = line.substr(0, space);
  const std::string rest = line.substr(begin, line.find_last_not_of(" \n") + 1 - begin);
  const auto file = [&] {
    if (rest.empty()) fail_usage("{} needs a file's name", name);
    return with_home(rest);
  };
  if (name == "/exit" || name == "/quit") return false;
  if (name == "/help") {
    output_.notice(help);
  } else if (name == "/system") {
    conversation_.set_system(rest);
  } else if (name == "/reset") {
    conversation_.reset();
  } else if (name == "/save") {
    write_file(file(), conversation_.to_json());
  } else if (name == "/load") {
    constexpr int64_t most_bytes = int64_t{64} << 20;
    conversation_.load_json(read_file(file(), most_bytes), rest);
  } else if (name == "/regenerate") {
    answer([&](const auto& on_delta) { return conversation_.regenerate(on_delta, is_stopped_); });
  } else if (name == "/stats") {
    output_.notice(stats());
  } else if (name == "/set") {
    const size_t end = std::min(rest.find(' '), rest.size());
    const size_t value = std::min(rest.find_first_not_of(' ', end), rest.size());
    if (rest.empty())
      list_settings();
    else
      set(rest.substr(0, end), rest.substr(value));
  } else {
    fail_usage("there is no command {}; /help lists them", name);
  }
  return true;
}

void ChatSession::set(const std::string& name, const std::string& value) {
  ConversationSettings changed = conversation_.settings();
  SamplingOptions& sampling = changed.sampling;
  const std::map<std::string, double*> numbers = {
      {"temperature", &sampling.temperature},
      {"top_p", &sampling.top_p},
      {"min_p", &sampling.min_p},
      {"repetition_penalty", &sampling.repetition_penalty}};
  if (const auto found = numbers.find(name); found != numbers.end()) {
    *found->second = number_of(name, value);
  } else if (name == "top_k") {
    sampling.top_k = count_of(name, value);
  } else if (name == "seed") {
    sampling.seed = static_cast<uint64_t>(count_of(name, value));
  } else if (name == "max_tokens") {
    changed.max_tokens = count_of(name, value);
  } else if (name == "think") {
    shows_reasoning_ = choice_of(name, value, "show", "hide");
  } else if (name == "thinking") {
    changed.thinking = choice_of(name, value, "on", "off");
    if (*changed.thinking && !conversation_.can_think())
      fail_usage("this model has no thinking mode");
  } else {
    fail_usage("there is no setting '{}'; /help lists them", name);
  }
  check_sampling(sampling, 0);
  conversation_.settings() = changed;
}

void ChatSession::list_settings() {
  const ConversationSettings& s = conversation_.settings();
  const std::string thinking = s.thinking ? (*s.thinking ? "on" : "off") : "as the model does";
  output_.notice(fmt::format(
      "temperature {}, top_p {}, top_k {}, min_p {}, repetition_penalty {}, seed {}, max_tokens "
      "{}, think {}, thinking {}",
      s.sampling.temperature, s.sampling.top_p, s.sampling.top_k, s.sampling.min_p,
      s.sampling.repetition_penalty, s.sampling.seed, s.max_tokens,
      shows_reasoning_ ? "show" : "hide", thinking));
}

void ChatSession::answer(
    const std::function<AnswerStats(const std::function<void(const ChatDelta&)>&)>& ask) {
  last_ = '\n';
  AnswerStats stats;
  try {
    stats = ask([this](const ChatDelta& delta) { show(delta); });
  } catch (const Error&) {
    end_reasoning();
    throw;
  }
  end_reasoning();
  if (last_ != '\n') output_.answer("\n");
  if (stats.finish == FinishReason::length)
    output_.notice("(the answer is cut: no more tokens were granted)");
  if (stats.finish == FinishReason::cancelled) output_.notice("(stopped)");
  total_.prompt_tokens += stats.prompt_tokens;
  total_.cached_tokens += stats.cached_tokens;
  total_.tokens += stats.tokens;
  total_.prompt_seconds += stats.prompt_seconds;
  total_.seconds += stats.seconds;
}

void ChatSession::show(const ChatDelta& delta) {
  const bool is_reasoning = delta.kind == ChatDelta::Kind::reasoning;
  if (delta.text.empty() || (is_reasoning && !shows_reasoning_)) return;
  if (!is_reasoning) end_reasoning();
  if (is_reasoning && !in_reasoning_ && output_.colours) output_.answer(dim);
  in_reasoning_ = is_reasoning;
  output_.answer(delta.text);
  last_ = delta.text.back();
}

// The answer proper begins on a line of its own.
void ChatSession::end_reasoning() {
  if (!in_reasoning_) return;
  in_reasoning_ = false;
  if (output_.colours) output_.answer(plain);
  output_.answer(last_ == '\n' ? "\n" : "\n\n");
  last_ = '\n';
}

std::string ChatSession::stats() const {
  constexpr double gibibyte = 1024.0 * 1024 * 1024;
  const int64_t computed = total_.prompt_tokens - total_.cached_tokens;
  return fmt::format(
      "{} tokens written, {:.1f} a second; {} prompt tokens, {} of them remembered, the others "
      "{:.1f} "
      "a second; {:.2f} GiB of memory",
      total_.tokens, rate_of(total_), total_.prompt_tokens, total_.cached_tokens,
      static_cast<double>(computed) / std::max(1e-9, total_.prompt_seconds),
      static_cast<double>(peak_resident_bytes()) / gibibyte);
}

}  // namespace minke
