// A teacher behind a server that speaks OpenAI's interface.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "api/client.h"
#include "api/error.h"
#include "base/error.h"
#include "base/log.h"
#include "post/distill_teacher.h"
#include "post/prompt.h"
#include "text/special_tokens.h"

namespace minke {
namespace {

std::string key_of(const TeacherConfig& teacher) {
  if (teacher.api_key_env.empty()) return "";
  const char* key = std::getenv(teacher.api_key_env.c_str());
  if (!key || !*key)
    fail_usage("teacher.api_key_env names {}, which is not set in the environment",
               teacher.api_key_env);
  return key;
}

Json request_of(const DistillConfig& config, const TeacherQuestion& question) {
  const TeacherConfig& teacher = config.teacher;
  const std::string prompt = fill_template(teacher.prompt_template, *question.problem);
  Json body = {{"model", teacher.model},
               {"max_tokens", config.samples.max_tokens},
               {"temperature", config.samples.temperature},
               {"top_p", config.samples.top_p},
               {"seed", question.seed >> 33}};  // 31 bits: what every server takes
  if (!teacher.chat) {
    body["prompt"] = prompt + teacher.answer_prefix;
    return body;
  }
  body["messages"] = Json::array({{{"role", "user"}, {"content", prompt}}});
  if (!teacher.answer_prefix.empty())
    body["messages"].push_back(
        {{"role", "assistant"}, {"content", teacher.answer_prefix}, {"prefix", true}});
  return body;
}

// The answer's text behind the prefix. A server may have split the reasoning off, and the prefix
// may have opened it.
std::string chat_text(const ChatMessage& message, const std::string& prefix) {
  if (message.reasoning_content.empty()) return prefix + message.content;
  const std::string begin = prefix.starts_with(special::think_begin)
                                ? prefix
                                : prefix + std::string(special::think_begin);
  return begin + message.reasoning_content + std::string(special::think_end) + message.content;
}

// Throws an ApiError for an answer that has not the form.
TeacherAnswer parse_answer(const TeacherConfig& teacher, const Problem& problem, const Json& json) {
  TeacherAnswer answer;
  std::string reason;
  if (teacher.chat) {
    const ChatCompletion completion = parse_chat_completion(json);
    if (completion.choices.empty()) refuse_form("choices", "choices is empty");
    const ChatChoice& choice = completion.choices[0];
    answer.text = chat_text(choice.message, teacher.answer_prefix);
    if (answer.text.size() == teacher.answer_prefix.size()) answer.fault = "the answer is empty";
    reason = choice.finish_reason;
  } else {
    const Fields body(json, "");
    body.require("choices");
    const Json& choices = *body.list("choices");
    if (choices.empty()) refuse_form("choices", "choices is empty");
    const Fields choice(choices[0], "choices[]");
    const std::string text = choice.required_string("text");
    if (text.empty()) answer.fault = "the answer is empty";
    answer.text = opened_thinking(fill_template(teacher.prompt_template, problem)) +
                  teacher.answer_prefix + text;
    reason = choice.string("finish_reason").value_or("");
  }
  if (const Json* usage_json = Fields(json, "").object("usage")) {
    const Usage usage = parse_usage(*usage_json);
    answer.prompt_tokens = usage.prompt_tokens;
    answer.tokens = usage.completion_tokens;
  }
  answer.truncated = reason == "length";
  answer.flops = 2 * teacher.parameters * static_cast<double>(answer.prompt_tokens + answer.tokens);
  return answer;
}

// A refusal that may pass, of too many requests or a fault of the server.
bool may_pass(int status) { return status == 429 || status >= 500; }

// The threads that ask, until all questions are answered or one of them has failed.
class Askers {
 public:
  Askers(const DistillConfig& config, const ApiClient& client,
         std::span<const TeacherQuestion> questions, const Teacher::Take& take)
      : config_(config), client_(client), questions_(questions), take_(take) {}

  void run() {
    const size_t count = std::min(questions_.size(), static_cast<size_t>(config_.teacher.parallel));
    std::vector<std::thread> threads;
    for (size_t i = 0; i < count; ++i) threads.emplace_back([this] { ask_all(); });
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void ask_all() {
    try {
      for (size_t i; !stopped_ && (i = next_++) < questions_.size();) {
        const TeacherAnswer answer = ask(questions_[i]);
        const std::lock_guard lock(mutex_);
        if (!stopped_) take_(i, answer);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stopped_ = true;
      wake_.notify_all();
    }
  }

  // An answer that cannot be used is not asked for again: it may always come out so.
  TeacherAnswer ask(const TeacherQuestion& question) {
    const Json json = post(question);
    TeacherAnswer unusable;
    if (!json.is_object()) {
      unusable.fault = json.get<std::string>();
      return unusable;
    }
    try {
      return parse_answer(config_.teacher, *question.problem, json);
    } catch (const ApiError& error) {
      unusable.fault = error.what();
      return unusable;
    }
  }

  // The server's JSON object, or a string that says why there is none.
  Json post(const TeacherQuestion& question) {
    const TeacherConfig& teacher = config_.teacher;
    const std::string path = teacher.chat ? "/chat/completions" : "/completions";
    const Json body = request_of(config_, question);
    for (int64_t attempt = 1;; ++attempt) {
      std::string problem;
      int wait_seconds = 0;
      try {
        return client_.post(path, body);
      } catch (const ApiError& error) {
        if (error.status / 100 == 2) return error.what();
        problem = fmt::format("status {}: {}", error.status, error.what());
        if (!may_pass(error.status))
          fail("the teacher refuses {}: {}", question.problem->id, problem);
        wait_seconds = error.retry_after;
      } catch (const Error& error) {
        problem = error.what();
      }
      if (attempt >= teacher.attempts || stopped_)
        fail(
            "the teacher does not answer after {} attempts ({}); the answers so far are kept, "
            "--resume goes on",
            attempt, problem);
      warn("teacher, attempt {} of {}: {}", attempt, teacher.attempts, problem);
      pause(attempt, wait_seconds);
    }
  }

  // Half a second, and twice as long each time; what the server asks for; a minute at most.
  void pause(int64_t attempt, int asked_seconds) {
    constexpr double first = 0.5, longest = 60.0;
    const double grown =
        first * static_cast<double>(int64_t{1} << std::min<int64_t>(attempt - 1, 7));
    const double seconds = std::min(longest, std::max(grown, static_cast<double>(asked_seconds)));
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::duration<double>(seconds),
                   [this] { return stopped_.load(); });
  }

  const DistillConfig& config_;
  const ApiClient& client_;
  std::span<const TeacherQuestion> questions_;
  const Teacher::Take& take_;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;  // of take_ and error_
  std::condition_variable wake_;
  std::exception_ptr error_;
};

class ServedTeacher : public Teacher {
 public:
  explicit ServedTeacher(const DistillConfig& config)
      : config_(config),
        client_(config.teacher.url, key_of(config.teacher), config.teacher.timeout_seconds) {}

  void answer(std::span<const TeacherQuestion> questions, const Take& take) override {
    Askers(config_, client_, questions, take).run();
  }

 private:
  DistillConfig config_;
  ApiClient client_;
};

}  // namespace

std::unique_ptr<Teacher> make_served_teacher(const DistillConfig& config) {
  return std::make_unique<ServedTeacher>(config);
}

}  // namespace minke
